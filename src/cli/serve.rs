//! `serve`: reads the configuration, binds the socket, starts the bridges, serves the routes and shuts down.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::{runtime::Runtime, sync::Notify};

use super::{
    args::ConfigOptions,
    output::{BAD_CONFIG, complain, diagnose, fail, fail_clean},
    sources,
};
use crate::{
    audit::AuditLog,
    auth::AuthSources,
    bridge::{BridgeContext, BridgeRegistry},
    call::CallServices,
    compute::ComputePool,
    config::{
        self, AnonymousAccess, CliOverrides, Config, ConfigWatcher, Diagnostic, Environment,
        Flavor, LoadedConfig, ServerSettings,
    },
    credential::{CredentialProvider, Variants},
    http::{self, AppState, BoundListener, ScrapeState},
    lifecycle::ProcessLifecycle,
    mcp,
    reload::{ConfigReloader, Source},
    schema,
    secret::Redactor,
    settings::ReloadableSettings,
    telemetry::{self, RequestTracer},
};

/// The time that the servers have to end after the last call.
const REAP_TIMEOUT: Duration = Duration::from_secs(10);

/// How to read the configuration, and whether to watch its files.
pub struct ServeOptions {
    /// Reads the configuration.
    pub source: Box<Source>,
    /// Resolves one bridge of the configuration with other values for some variables.
    pub variants: Box<Variants>,
    /// Whether a change of its files triggers a reload.
    pub is_watched: bool,
    /// The exit code for a configuration with errors.
    pub bad_config: u8,
}

/// Serves what the command line names.
pub fn main(start: &ConfigOptions) -> ExitCode {
    run(plan(start))
}

/// The configuration that the command line names.
pub fn plan(start: &ConfigOptions) -> ServeOptions {
    let environment = Environment::process();
    let overrides = CliOverrides {
        listen: start.listen,
    };
    if start.server.is_empty() {
        let (path, again) = (start.config.clone(), start.config.clone());
        let (here, listen) = (environment.clone(), overrides.clone());
        ServeOptions {
            variants: Box::new(move |name, values, headers| {
                config::load_bridge(&again, &here, &listen, name, values, headers)
            }),
            source: Box::new(move || config::load_with(&path, &environment, &overrides)),
            is_watched: true,
            bad_config: BAD_CONFIG,
        }
    } else {
        let words = start.server.clone();
        ServeOptions {
            variants: no_variants(),
            source: Box::new(move || config::single(&words, &environment, &overrides)),
            is_watched: false,
            bad_config: BAD_CONFIG,
        }
    }
}

/// The variants of a configuration without a database, in which groups have no keys.
pub fn no_variants() -> Box<Variants> {
    Box::new(|_, _, _| Err("group keys need a configuration in bridges.toml".to_owned()))
}

/// Reads the configuration, serves until a signal arrives, and returns the exit code.
pub fn run(plan: ServeOptions) -> ExitCode {
    let loaded = match (plan.source)() {
        Ok(loaded) => loaded,
        Err(problems) => {
            diagnose(&problems);
            return ExitCode::from(plan.bad_config);
        }
    };
    let redactor = Redactor::default();
    redactor.set_configured(loaded.secrets());
    telemetry::clean_panics(&redactor);
    if let Err(problem) = telemetry::start(&loaded.config.telemetry, &redactor) {
        complain(&format!("error: {problem}"));
        return ExitCode::from(BAD_CONFIG);
    }
    for warning in &loaded.warnings {
        warning.log();
    }
    let runtime = match runtime().context("cannot start the runtime") {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(serve(plan, loaded, redactor.clone()));
    // This ends the tasks that still run after a second signal. Dropping a child process kills it.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail_clean(&error, &redactor),
    }
}

/// Leaves one core free for the servers. On two cores, a single worker answers faster than two workers that
/// wake each other.
fn runtime() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(1).max(1))
        // Schemas of servers can be nested deeply. Unused stack takes no memory.
        .thread_stack_size(schema::STACK_BYTES)
        .enable_all()
        .build()
}

/// Prints the errors of the configuration and returns the exit code for them.
pub fn refuse(problems: &[Diagnostic]) -> ExitCode {
    diagnose(problems);
    ExitCode::from(BAD_CONFIG)
}

/// Runs the demo server until its input ends.
pub fn demo_server() -> ExitCode {
    let result = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(mcp::demo_server()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Binds the socket, serves, and waits until the last server is reaped.
async fn serve(plan: ServeOptions, loaded: LoadedConfig, redactor: Redactor) -> anyhow::Result<()> {
    let config = Arc::new(loaded.config);
    let mut listening = http::bind(&config.server).await?;
    if let Some(gateway) = &config.identity.gateway {
        listening.trust(&gateway.trusted_peers);
    }
    let metrics = metrics_address(&config).await?;
    let lifecycle = ProcessLifecycle::default();
    let asked = Arc::new(Notify::new());
    lifecycle
        .listen_to_signals(Arc::clone(&asked))
        .context("cannot listen to signals")?;
    let tracker = lifecycle.tracker.clone();
    let sources = sources::open(&config, mcp::http_client()?, tracker.clone())?;
    let traces = traces(&config, &sources, &redactor)?;
    // The start does not wait for the database. It connects in the background, and closes after the last call.
    if let Some(store) = &sources.store {
        let run = Arc::clone(store).run(config.access.clone(), lifecycle.bridges.clone());
        tracker.spawn(run);
    }
    let kept = sources::kept(&config, &sources, &lifecycle, &redactor);
    let (store, stop) = (sources.store.clone(), lifecycle.bridges.clone());
    let audit = AuditLog::start(&config.audit, store.clone(), &redactor, &tracker, stop);
    let files = sources::files(&sources, &lifecycle);
    let credentials = sources::credentials(&sources, &kept, plan.variants, &redactor);
    let context = BridgeContext {
        notes_tools: true,
        ..context(&lifecycle, &sources, &credentials, &redactor)
    };
    let registry = BridgeRegistry::start(&config, context);
    let settings = ReloadableSettings::new(Arc::clone(&config), &sources);
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    let reloader = Arc::new(ConfigReloader::new(
        plan.source,
        Arc::clone(&registry),
        Arc::clone(&settings),
        sources,
    ));
    let watch = plan
        .is_watched
        .then(|| ConfigWatcher::start(loaded.sources, &lifecycle.tracker, lifecycle.soft.clone()));
    lifecycle
        .tracker
        .spawn(Arc::clone(&reloader).run(watch, asked, lifecycle.soft.clone()));
    announce(&config, listening.address);
    let stillborn = stillborn(config.flavor, Arc::clone(&registry));
    let state = Arc::new(AppState {
        services: CallServices {
            registry,
            credentials,
            settings,
            audit,
            redactor,
        },
        reloader,
        store,
        keyring: kept.keyring,
        group_keys: kept.group_keys,
        files,
        draining: lifecycle.soft.clone(),
        traces: traces.clone(),
        metering: ScrapeState::default(),
    });
    if let Some(metrics) = metrics {
        serve_metrics(metrics, &state, &lifecycle);
    }
    let router = http::router(&state);
    let (soft, hard) = (lifecycle.soft.clone(), lifecycle.hard.clone());
    let serving = listening.serve(router, &config.server, soft, hard);
    let served = tokio::select! {
        served = serving => served.map_err(anyhow::Error::from),
        reason = stillborn => Err(reason),
    };
    end(&lifecycle).await;
    // A second signal ends the wait for the traces.
    tokio::select! {
        () = traces.end() => {}
        () = lifecycle.hard.cancelled() => {}
    }
    served
}

/// Binds the address of the metrics, if one is configured.
async fn metrics_address(
    config: &Config,
) -> anyhow::Result<Option<(BoundListener, ServerSettings)>> {
    let Some(listen) = config.telemetry.metrics_listen else {
        return Ok(None);
    };
    let server = ServerSettings {
        listen,
        drain_timeout: Duration::from_secs(1),
        ..ServerSettings::default()
    };
    let listening = http::bind(&server).await;
    let listening = listening.context("`metrics_listen` in [telemetry]")?;
    tracing::info!("metrics are at http://{}/metrics", listening.address);
    Ok(Some((listening, server)))
}

/// Serves metrics on their own address until the bridges have ended, so that a shutdown can be monitored too.
fn serve_metrics(
    (listening, server): (BoundListener, ServerSettings),
    state: &Arc<AppState>,
    lifecycle: &ProcessLifecycle,
) {
    let router = http::metrics_router(state);
    let (soft, hard) = (lifecycle.bridges.clone(), lifecycle.hard.clone());
    lifecycle.tracker.spawn(async move {
        if let Err(error) = listening.serve(router, &server, soft, hard).await {
            tracing::error!(%error, "metrics are no longer served on their own address");
        }
    });
}

/// Starts tracing, if a collector is configured.
fn traces(
    config: &Config,
    sources: &AuthSources,
    redactor: &Redactor,
) -> anyhow::Result<RequestTracer> {
    let Some(otlp) = &config.telemetry.otlp else {
        return Ok(RequestTracer::default());
    };
    let traces = RequestTracer::start(otlp, sources.http.clone(), redactor);
    traces.map_err(|problem| anyhow::anyhow!(problem))
}

/// Waits until the only server of mcpo's command line has failed for good: its program cannot be started, or it
/// ends before it is ready. The process then exits with an error, so that a process manager can restart it. A
/// remote server or a slow one may still become ready.
async fn stillborn(flavor: Flavor, registry: Arc<BridgeRegistry>) -> anyhow::Error {
    let bridge = registry.roster().bridges().first().map(Arc::clone);
    if let (Flavor::McpoSingle, Some(bridge)) = (flavor, bridge)
        && let Some(reason) = bridge.failed_to_start().await
    {
        return anyhow::anyhow!(reason);
    }
    std::future::pending().await
}

/// Builds the context that all bridges share.
pub fn context(
    lifecycle: &ProcessLifecycle,
    sources: &AuthSources,
    credentials: &Arc<CredentialProvider>,
    redactor: &Redactor,
) -> BridgeContext {
    BridgeContext {
        http: sources.http.clone(),
        credentials: Arc::clone(credentials),
        notes_tools: false,
        redactor: redactor.clone(),
        checks: ComputePool::new(),
        replies: ComputePool::new(),
        tracker: lifecycle.tracker.clone(),
        stop: lifecycle.bridges.clone(),
    }
}

/// Ends the bridges and waits until their servers are reaped or a second signal arrives.
pub async fn end(lifecycle: &ProcessLifecycle) {
    lifecycle.bridges.cancel();
    lifecycle.soft.cancel();
    lifecycle.tracker.close();
    let reaped = tokio::time::timeout(REAP_TIMEOUT, lifecycle.tracker.wait());
    tokio::select! {
        result = reaped => if result.is_err() {
            tracing::warn!("some servers did not end in time and were killed");
        },
        () = lifecycle.hard.cancelled() => {}
    }
    tracing::info!("stopped");
}

/// Logs the address and warns if it is open to everyone.
fn announce(config: &Config, address: std::net::SocketAddr) {
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    tracing::info!(
        bridges = %config.count(),
        docs = %format!("{scheme}://{address}/docs"),
        version = env!("CARGO_PKG_VERSION"),
        "listening on {scheme}://{address}"
    );
    if config.identity.anonymous == AnonymousAccess::Allowed && !address.ip().is_loopback() {
        if config.is_access_enforced() {
            tracing::warn!(
                "`anonymous = true`: anyone who can reach {address} may call what the default groups may call"
            );
        } else {
            tracing::warn!(
                "`anonymous = true`: anyone who can reach {address} may call every tool"
            );
        }
    }
}
