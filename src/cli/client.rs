//! How commands talk to a running agent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::secret::resolve;

/// The config that is looked into where none is named.
const CONFIG: &str = "jurymast.yml";
/// Where an agent is whose config does not say it.
const USUAL: &str = "http://127.0.0.1:9909";

/// How an agent is asked.
#[derive(clap::Args, Clone)]
// Commands whose own arguments are called so as well hold these.
#[group(skip)]
pub struct At {
    /// The agent's API; if left out, `api.listen` of the config.
    #[arg(long, env = "JURYMAST_URL")]
    url: Option<String>,
    /// A file that holds the token that acting needs.
    #[arg(long, env = "JURYMAST_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

/// Where the agent is.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Args {
    /// The agent's config: its `api.listen` says where it is asked. If left out, `jurymast.yml` if it is there, or else `http://127.0.0.1:9909` is asked.
    #[arg(short, long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

impl At {
    /// Of that config.
    pub fn of(&self, config: &Path) -> Args {
        Args {
            config: Some(config.to_owned()),
            at: self.clone(),
        }
    }
}

/// An address, and who says so.
struct Address {
    url: String,
    by: String,
}

impl Args {
    /// What is said on the command line counts more than what stands in a file.
    fn address(&self) -> Result<Address, String> {
        if let Some(url) = &self.at.url {
            let by_environment = std::env::var("JURYMAST_URL").is_ok_and(|set| set == *url);
            return Ok(Address {
                url: url.trim_end_matches('/').to_owned(),
                by: if by_environment { "JURYMAST_URL" } else { "--url" }.to_owned(),
            });
        }
        let named = self.config.as_deref();
        let file = named.unwrap_or(Path::new(CONFIG));
        let usual = |why: String| Address {
            url: USUAL.to_owned(),
            by: format!("the default, for {why}"),
        };
        match crate::config::address(file) {
            Ok(url) => Ok(Address {
                url,
                by: format!("api.listen of {}", file.display()),
            }),
            Err(why) if named.is_some() => Err(format!(
                "{why}: this config does not say where its agent is; say it with --url"
            )),
            Err(_) if !file.exists() => Ok(usual(format!("there is no {CONFIG} here"))),
            Err(why) => Ok(usual(why)),
        }
    }

    /// Reads something.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        self.call(reqwest::Method::GET, path, None)
    }

    /// Says something.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.call(reqwest::Method::POST, path, Some(body))
    }

    /// Reads something that is no JSON.
    pub fn text(&self, path: &str) -> Result<String, String> {
        self.answer(reqwest::Method::GET, path, None)
    }

    fn call(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let text = self.answer(method, path, body)?;
        serde_json::from_str(&text).map_err(|error| format!("{path} gives no JSON: {error}"))
    }

    fn answer(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Result<String, String> {
        let Address { url: base, by } = self.address()?;
        let url = format!("{base}{path}");
        let token = resolve(None, self.at.token_file.as_deref()).map_err(|error| error.to_string())?;
        super::runtime()?.block_on(async {
            let client = reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build();
            let client = client.map_err(|error| error.to_string())?;
            let mut request = client.request(method, &url);
            if let Some(body) = body {
                request = request.json(body).header("X-Jurymast-By", "cli");
            }
            if let Some(token) = &token {
                request = request.bearer_auth(token.expose());
            }
            let answer = request.send().await.map_err(|_| {
                format!(
                    "no agent answers at {base} ({by}): start one with 'jurymast run', or say where it is with --url or --config"
                )
            })?;
            let status = answer.status();
            let text = answer.text().await.map_err(|error| error.to_string())?;
            if status == reqwest::StatusCode::UNAUTHORIZED {
                return Err("acting needs the token: --token-file FILE (the config's api.token_file)".into());
            }
            if !status.is_success() {
                return Err(format!("the agent says: {}", text.trim()));
            }
            Ok(text)
        })
    }
}
