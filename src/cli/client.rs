//! How commands talk to a running agent.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::secret::resolve;

/// Where the agent is.
#[derive(clap::Args, Clone)]
// Commands whose own arguments are called so as well hold these.
#[group(skip)]
pub struct Args {
    /// The agent's API.
    #[arg(long, default_value = "http://127.0.0.1:9909", env = "JURYMAST_URL")]
    pub url: String,
    /// A file that holds the token that acting needs.
    #[arg(long, env = "JURYMAST_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

impl Args {
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
        serde_json::from_str(&text).map_err(|error| format!("{}{path} gives no JSON: {error}", self.url))
    }

    fn answer(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Result<String, String> {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let token = resolve(None, self.token_file.as_deref()).map_err(|error| error.to_string())?;
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
                    "no agent answers at {}: start one with 'jurymast run', or say where it is with --url",
                    self.url
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
