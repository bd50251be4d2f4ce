//! A `PostgreSQL` server's power to write: taken for good, and given back.

use std::time::Duration;

use super::host::{Host, Tried, Trouble, token_line};
use super::sql;
use crate::act::runner::{Applied, Effect};
use crate::client::psql::Failed;

/// A server that has not answered by then is stopped unheard.
const HANGS_AFTER: Duration = Duration::from_secs(2);

impl Host<'_> {
    /// Takes its power to write.
    pub async fn fence(&self) -> Applied {
        let fenced = if self.with.data_dir.is_empty() {
            self.fence_by_sql().await
        } else {
            self.fence_on_host().await
        };
        match fenced {
            Ok(applied) => applied,
            Err(Trouble::Unreachable(why)) => self.with.unreachable.applied(self.call, why, Applied::Unknown),
            Err(trouble) => trouble.into(),
        }
    }

    async fn fence_by_sql(&self) -> Tried<Applied> {
        match sql::state(&self.with.dsn, self.left()).await {
            Ok(state) if state.standby => Ok(sql::seal(self.tools, self.call, &self.with.dsn).await),
            Ok(_) => Err(Trouble::NoEffect(
                "it is a primary, and without data_dir nobody can stop it".into(),
            )),
            Err(failed) => Err(Trouble::Unreachable(failed.to_string())),
        }
    }

    async fn fence_on_host(&self) -> Tried<Applied> {
        if self.runs_or_is_marked().await? {
            // One that hangs does not answer in any time.
            let limit = self.left().min(HANGS_AFTER);
            if let Ok(state) = sql::state(&self.with.dsn, limit).await
                && state.standby
            {
                return Ok(sql::seal(self.tools, self.call, &self.with.dsn).await);
            }
            self.mark().await?;
            // A planned move waits until the standbys have everything; a broken server is not trusted with that.
            if self.with.planned() {
                self.stop("fast").await?;
            } else {
                self.cut_off().await?;
            }
            self.append(&token_line(self.call.token)).await?;
        }
        Ok(Applied::Done)
    }

    /// Is its power to write gone?
    pub async fn is_fenced(&self) -> Effect {
        let by_sql = sql::state(&self.with.dsn, self.left().min(HANGS_AFTER)).await;
        if let Ok(state) = &by_sql {
            return if state.standby && state.token.is_some_and(|kept| kept >= self.call.token) {
                Effect::There
            } else {
                Effect::NotThere
            };
        }
        let unreachable = self.with.unreachable.seen();
        if self.with.data_dir.is_empty() {
            return unreachable;
        }
        let marked =
            async { Ok::<_, Trouble>(self.is_marked().await? && (!self.runs().await? || self.is_zombie().await?)) };
        match marked.await {
            Ok(true) => Effect::There,
            Ok(false) => Effect::NotThere,
            Err(Trouble::Unreachable(_)) => unreachable,
            Err(_) => Effect::Unknown,
        }
    }

    /// Takes a fence back: it is what it was.
    pub async fn release(&self) -> Applied {
        let released = async {
            self.compare().await?;
            if self.runs().await? && !self.is_zombie().await? {
                if !self.is_marked().await? {
                    return Ok(());
                }
                self.stop("fast").await?;
            }
            let signal = self.file("standby.signal");
            self.must(["rm", "-f", &signal]).await?;
            self.must(["sync", &self.with.data_dir]).await?;
            self.start().await
        };
        released.await.map_or_else(Into::into, |()| Applied::Done)
    }

    /// Does it take writes again?
    pub async fn is_released(&self) -> Effect {
        match sql::state(&self.with.dsn, self.left()).await {
            Ok(state) if !state.standby => Effect::There,
            Ok(_) => Effect::NotThere,
            Err(Failed::NoConnection(_)) => Effect::NotThere,
            Err(_) => Effect::Unknown,
        }
    }
}
