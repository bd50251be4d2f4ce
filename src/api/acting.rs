//! Who may act: whoever has the token. Reading is free.

use axum::http::{HeaderMap, StatusCode};

use crate::secret::Secret;

/// `Ok` with the name of whoever acts, for the log.
pub fn may_act(headers: &HeaderMap, token: Option<&Secret>) -> Result<String, (StatusCode, String)> {
    let Some(token) = token else {
        let text = "acting over HTTP is off: set api.token_file in the config";
        return Err((StatusCode::FORBIDDEN, text.into()));
    };
    match bearer(headers) {
        Some(given) if same(given.as_bytes(), token.expose().as_bytes()) => {
            let by = headers
                .get("x-jurymast-by")
                .and_then(|value| value.to_str().ok())
                .unwrap_or("api");
            Ok(by.chars().filter(|c| !c.is_control()).take(64).collect())
        }
        Some(_) => Err((StatusCode::FORBIDDEN, "the token is wrong".into())),
        None => Err((
            StatusCode::UNAUTHORIZED,
            "acting needs the header 'Authorization: Bearer TOKEN'".into(),
        )),
    }
}

/// `Ok` if alerts may be handed in: always, unless the config asks for a token.
pub fn may_tell(headers: &HeaderMap, token: Option<&Secret>) -> Result<(), (StatusCode, String)> {
    let Some(token) = token else { return Ok(()) };
    match bearer(headers) {
        Some(given) if same(given.as_bytes(), token.expose().as_bytes()) => Ok(()),
        _ => Err((
            StatusCode::UNAUTHORIZED,
            "alerts need the header 'Authorization: Bearer TOKEN' (api.alerts_token_file)".into(),
        )),
    }
}

/// What the request shows as its token.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Takes the same time wherever two texts of one length differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", value.parse().unwrap());
        headers
    }

    #[test]
    fn alerts_need_a_token_only_where_one_is_set() {
        let token = Secret::from("s3cret".to_owned());
        assert_eq!(may_tell(&HeaderMap::new(), None), Ok(()));
        assert_eq!(may_tell(&headers("Bearer s3cret"), Some(&token)), Ok(()));
        for wrong in [HeaderMap::new(), headers("Bearer s3creT"), headers("Basic s3cret")] {
            assert_eq!(may_tell(&wrong, Some(&token)).unwrap_err().0, StatusCode::UNAUTHORIZED);
        }
    }

    #[test]
    fn only_the_right_token_acts() {
        let token = Secret::from("s3cret".to_owned());
        assert_eq!(may_act(&headers("Bearer s3cret"), Some(&token)), Ok("api".into()));
        assert_eq!(
            may_act(&headers("Bearer s3creT"), Some(&token)).unwrap_err().0,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            may_act(&HeaderMap::new(), Some(&token)).unwrap_err().0,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(
            may_act(&headers("Bearer s3cret"), None).unwrap_err().0,
            StatusCode::FORBIDDEN
        );
    }
}
