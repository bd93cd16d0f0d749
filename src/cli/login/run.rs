//! Connects, disconnects and lists accounts.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::{runtime::Runtime, sync::mpsc};
use tokio_util::task::TaskTracker;
use url::Url;

use super::{
    LoginArgs, LogoutArgs,
    wait::{self, CallbackListener},
};
use crate::{
    auth::AuthenticationMethod,
    cli::{
        args::ConfigOptions,
        output::{complain, fail_clean, print},
        serve, sources,
    },
    config::{self, Config, CredentialScope, DEFAULT_WORKSPACE, TransportSettings},
    credential::{EncryptionKeys, LoginFlow, LoginRequest, oauth_of},
    mcp,
    secret::Redactor,
    settings::public_url,
    store::{AccountKey, ChangeActor, Store},
};

/// The default port for a client with a configured `client_id`. The redirect URL of such a client is registered with
/// the vendor, so its port must be fixed.
const REGISTERED_PORT: u16 = 3030;

/// The configuration and the data sources that the commands use.
struct LoginContext {
    /// The configuration.
    config: Config,
    /// The database of mcp-bridge.
    store: Arc<Store>,
    /// The service that connects accounts.
    logins: LoginFlow,
}

/// `login`
pub fn login(start: &ConfigOptions, args: &LoginArgs) -> ExitCode {
    run(start, async |desk| desk.login(args).await)
}

/// `logout`
pub fn logout(start: &ConfigOptions, args: &LogoutArgs) -> ExitCode {
    run(start, async |desk| desk.logout(args).await)
}

/// `accounts`
pub fn accounts(start: &ConfigOptions, as_json: bool) -> ExitCode {
    run(start, async |desk| desk.list(as_json).await)
}

fn run(
    start: &ConfigOptions,
    work: impl AsyncFnOnce(LoginContext) -> anyhow::Result<()>,
) -> ExitCode {
    let loaded = match (serve::plan(start).source)() {
        Ok(loaded) => loaded,
        Err(problems) => return serve::refuse(&problems),
    };
    let redactor = Redactor::default();
    redactor.set_configured(loaded.secrets());
    let result = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| {
            let redactor = redactor.clone();
            let result = runtime
                .block_on(async { work(LoginContext::open(loaded.config, redactor).await?).await });
            // Does not wait for the thread that reads the terminal, because it may never end.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail_clean(&error, &redactor),
    }
}

/// The actor in the record of changes.
fn operator() -> ChangeActor {
    ChangeActor {
        id: "operator".to_owned(),
        proof: AuthenticationMethod::Operator.as_str().to_owned(),
        workspace: DEFAULT_WORKSPACE.to_owned(),
    }
}

impl LoginContext {
    /// Opens the database, and creates its tables if they are missing.
    async fn open(config: Config, redactor: Redactor) -> anyhow::Result<Self> {
        let sources = sources::open(&config, mcp::http_client()?, TaskTracker::new())?;
        let store = sources
            .store
            .clone()
            .context("this configuration has no database for logins: use a `bridges.toml`")?;
        let applied = store.migrate().await?;
        if !applied.is_empty() {
            complain(&format!("applied migrations: {}", applied.join(", ")));
            store.seed(&config.access).await?;
        }
        let keyring = config
            .database
            .as_ref()
            .map(EncryptionKeys::new)
            .map(Arc::new);
        let accounts = sources::accounts(&sources, keyring, &redactor);
        let logins = accounts
            .logins()
            .context("this configuration has no database for accounts")?;
        Ok(Self {
            config,
            store,
            logins,
        })
    }

    /// Returns the bridge with this name.
    fn bridge(&self, name: &str) -> anyhow::Result<&config::BridgeSettings> {
        let mut bridges = self.config.bridges.iter();
        let found = bridges.find(|bridge| bridge.name.as_str() == name);
        found.with_context(|| format!("there is no bridge `{name}`; `mcp-bridge check` lists them"))
    }

    /// Returns the account that the arguments select.
    fn account(
        bridge: &config::BridgeSettings,
        user: Option<&str>,
        workspace: &str,
    ) -> anyhow::Result<AccountKey> {
        let name = bridge.name.as_str();
        let (workspace, subject) = match (bridge.credential, user) {
            (CredentialScope::Caller, Some(user)) => {
                (workspace, format!("user:{}", user.to_ascii_lowercase()))
            }
            (CredentialScope::Caller, None) => bail!(
                "each caller has their own account at `{name}`: name the caller with `--user E-MAIL`; callers can also connect their account at /oauth/{name}/connect"
            ),
            (CredentialScope::Shared, None) => (DEFAULT_WORKSPACE, String::new()),
            (CredentialScope::Shared, Some(_)) => bail!(
                "all callers share the account at `{name}`: omit `--user`, or set `credential = \"caller\"` in [bridges.{name}]"
            ),
            (CredentialScope::Group, _) => bail!(
                "`{name}` uses group keys: run `mcp-bridge access group-key set GROUP {name} VARIABLE`"
            ),
        };
        Ok(AccountKey {
            workspace: workspace.to_owned(),
            bridge: name.to_owned(),
            subject,
        })
    }

    async fn login(self, args: &LoginArgs) -> anyhow::Result<()> {
        let bridge = self.bridge(&args.bridge)?;
        let (_, settings) = oauth_of(bridge)?;
        let account = Self::account(bridge, args.user.as_deref(), &args.workspace)?;
        let public = self
            .config
            .server
            .public_url
            .as_ref()
            .map(|_| callback(&self.config));
        let door = if public.is_some() {
            None
        } else {
            let fixed = settings.client_id.as_ref().map(|_| REGISTERED_PORT);
            Some(CallbackListener::open(args.port.or(fixed).unwrap_or(0)).await?)
        };
        let redirect_url = match (&door, public) {
            (Some(door), _) => door.redirect_url.clone(),
            (None, Some(url)) => url,
            (None, None) => bail!("there is no redirect URL"),
        };
        let wish = LoginRequest {
            bridge,
            account: account.clone(),
            redirect_url: &redirect_url,
            browser: None,
            actor: &operator(),
        };
        let begun = self.logins.begin(&wish).await;
        let url = begun.with_context(|| format!("cannot begin to log in to `{}`", args.bridge))?;
        instruct(&url, &redirect_url, settings.client_id.is_some());
        let waiting = self.wait(door, &account);
        let waited = tokio::time::timeout(args.timeout, waiting).await;
        waited.with_context(|| {
            let time = humantime::format_duration(args.timeout);
            format!("the login did not complete within {time}; run the command again")
        })??;
        let whose = match &args.user {
            Some(user) => format!(" for {user}"),
            None => String::new(),
        };
        print(&format!("{} is connected{whose}\n", args.bridge));
        Ok(())
    }

    /// Waits until the login ends: at the port, in the running bridge, or by a pasted address.
    async fn wait(
        &self,
        door: Option<CallbackListener>,
        account: &AccountKey,
    ) -> anyhow::Result<()> {
        let (sender, mut answers) = mpsc::channel(4);
        wait::pasted(sender.clone());
        let serving = async {
            match door {
                Some(door) => door.answers(sender).await,
                None => std::future::pending().await,
            }
        };
        let find = |name: &str| self.bridge(name).ok().cloned();
        let finishing = async {
            while let Some(answer) = answers.recv().await {
                match self.logins.finish(&answer, None, find).await {
                    Ok(_finished) => return Ok(()),
                    // The answer belongs to another login. Keep waiting for the right one.
                    Err(error @ crate::credential::LoginError::Unknown) => {
                        complain(&error.to_string());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            result = finishing => result,
            result = wait::connected(&self.store, account) => result,
            () = serving => std::future::pending().await,
        }
    }

    async fn logout(self, args: &LogoutArgs) -> anyhow::Result<()> {
        let bridge = self.bridge(&args.bridge)?;
        let account = Self::account(bridge, args.user.as_deref(), &args.workspace)?;
        let settings = match &bridge.transport {
            Ok(TransportSettings::Remote(remote)) => remote.oauth.as_ref(),
            Ok(TransportSettings::Stdio(_)) | Err(_) => None,
        };
        let actor = operator();
        let gone = self.logins.disconnect(&actor, &account, settings).await?;
        if !gone {
            bail!("there is no login for `{}`", args.bridge);
        }
        print(&format!("{} is disconnected\n", args.bridge));
        Ok(())
    }

    async fn list(self, as_json: bool) -> anyhow::Result<()> {
        let accounts = self.store.accounts().await?;
        let accounts = accounts
            .into_iter()
            .filter(|it| !it.key.subject.starts_with("client:"));
        let rows: Vec<_> = accounts
            .map(|it| {
                let whose = if it.key.subject.is_empty() {
                    "shared".to_owned()
                } else {
                    it.key.subject.trim_start_matches("user:").to_owned()
                };
                (it.key.bridge, whose, it.key.workspace)
            })
            .collect();
        if as_json {
            let shown: Vec<_> = rows
                .iter()
                .map(|(bridge, whose, workspace)| {
                    json!({ "bridge": bridge, "account": whose, "workspace": workspace })
                })
                .collect();
            print(&format!("{:#}\n", json!(shown)));
            return Ok(());
        }
        if rows.is_empty() {
            complain("there are no logins; `mcp-bridge login BRIDGE` adds one");
        }
        for (bridge, whose, workspace) in rows {
            let workspace = if workspace == DEFAULT_WORKSPACE {
                String::new()
            } else {
                format!("  ({workspace})")
            };
            print(&format!("{bridge}  {whose}{workspace}\n"));
        }
        Ok(())
    }
}

/// Returns the callback URL of the running bridge.
fn callback(config: &Config) -> Url {
    let mut url = public_url(config);
    let root = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{root}/oauth/callback"));
    url
}

/// Prints the instructions to standard error, so that standard output has only the result.
fn instruct(url: &Url, redirect_url: &Url, is_registered: bool) {
    complain(&format!(
        "Open this page in a browser, on any machine, and log in:\n\n  {url}\n\n\
         The browser then returns to {redirect_url}\n\
         If the browser shows an error there, copy its address, paste it here, and press Enter."
    ));
    if is_registered {
        complain(&format!(
            "Register this redirect URL in the console of the vendor: {redirect_url}"
        ));
    }
}
