//! Compares two configurations: what a reload changes. Pure.

use crate::{
    config::{BridgeSettings, Config},
    name::BridgeName,
};

/// The changes of a reload. Each list has the order of the new file (`stop`: of the old one).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each section has one flag")]
pub struct ReloadPlan {
    /// New bridges.
    pub start: Vec<BridgeName>,
    /// Removed bridges.
    pub stop: Vec<BridgeName>,
    /// Bridges whose configuration differs in anything, including whether they are enabled. If a setting
    /// differs that affects every session, all remaining bridges.
    pub restart: Vec<BridgeName>,
    /// Bridges that keep their session.
    pub keep: Vec<BridgeName>,
    /// `[server]` differs.
    pub server_changed: bool,
    /// `[database]` differs.
    pub database_changed: bool,
    /// `[identity]` differs.
    pub identity_changed: bool,
    /// `[access]` differs.
    pub access_changed: bool,
    /// `[limits]` differs.
    pub limits_changed: bool,
    /// `[audit]` differs.
    pub audit_changed: bool,
    /// `[telemetry]` differs.
    pub telemetry_changed: bool,
    /// Changed settings that apply only after a restart, as `section.key` or a whole section.
    pub after_restart: Vec<&'static str>,
}

/// A setting that applies only after a restart.
struct RestartSetting {
    /// The name, as `section.key` or a whole section.
    name: &'static str,
    /// Copies the setting from the configuration of the running process.
    hold: fn(&mut Config, &Config),
}

/// Settings that the process uses only at its start.
const AFTER_RESTART: [RestartSetting; 9] = [
    RestartSetting {
        name: "server.listen",
        hold: |new, old| new.server.listen = old.server.listen,
    },
    RestartSetting {
        name: "server.root_path",
        hold: |new, old| new.server.root_path.clone_from(&old.server.root_path),
    },
    RestartSetting {
        name: "server.tls",
        hold: |new, old| new.server.tls.clone_from(&old.server.tls),
    },
    RestartSetting {
        name: "server.connections_max",
        hold: |new, old| new.server.connections_max = old.server.connections_max,
    },
    RestartSetting {
        name: "server.drain_delay",
        hold: |new, old| new.server.drain_delay = old.server.drain_delay,
    },
    RestartSetting {
        name: "server.drain_timeout",
        hold: |new, old| new.server.drain_timeout = old.server.drain_timeout,
    },
    RestartSetting {
        name: "database",
        hold: |new, old| new.database.clone_from(&old.database),
    },
    RestartSetting {
        name: "audit",
        hold: |new, old| new.audit.clone_from(&old.audit),
    },
    RestartSetting {
        name: "telemetry (all but `metrics`)",
        hold: |new, old| {
            let metrics = new.telemetry.metrics;
            new.telemetry.clone_from(&old.telemetry);
            new.telemetry.metrics = metrics;
        },
    },
];

/// Returns the configuration that is in force after a reload: the new one, but with the old values of
/// settings that apply only after a restart. Pages then show the address on which the process really listens.
pub fn in_force(old: &Config, mut new: Config) -> Config {
    for fixed in &AFTER_RESTART {
        (fixed.hold)(&mut new, old);
    }
    new
}

/// Returns the changed settings that apply only after a restart.
fn after_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let differs = |fixed: &&RestartSetting| {
        let mut held = new.clone();
        (fixed.hold)(&mut held, old);
        held != *new
    };
    AFTER_RESTART
        .iter()
        .filter(differs)
        .map(|fixed| fixed.name)
        .collect()
}

/// Whether two configurations create sessions in the same way, apart from the table of each bridge.
fn makes_alike(old: &Config, new: &Config) -> bool {
    // mcpo treats child processes differently, even if the entry is the same.
    old.flavor == new.flavor
        && old.limits.result_bytes_max == new.limits.result_bytes_max
        && old.limits.tools_bytes_max == new.limits.tools_bytes_max
}

impl ReloadPlan {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.sections().is_empty()
            && self.start.is_empty()
            && self.stop.is_empty()
            && self.restart.is_empty()
    }

    /// Returns the names of the changed sections.
    pub fn sections(&self) -> Vec<&'static str> {
        [
            ("server", self.server_changed),
            ("database", self.database_changed),
            ("identity", self.identity_changed),
            ("access", self.access_changed),
            ("limits", self.limits_changed),
            ("audit", self.audit_changed),
            ("telemetry", self.telemetry_changed),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
        .collect()
    }
}

/// Compares two configurations.
pub fn plan(old: &Config, new: &Config) -> ReloadPlan {
    let mut plan = ReloadPlan {
        server_changed: old.server != new.server,
        database_changed: old.database != new.database,
        access_changed: old.access != new.access,
        audit_changed: old.audit != new.audit,
        identity_changed: old.identity != new.identity,
        limits_changed: old.limits != new.limits,
        telemetry_changed: old.telemetry != new.telemetry,
        after_restart: after_restart(old, new),
        ..ReloadPlan::default()
    };
    let makes_alike = makes_alike(old, new);
    let find = |bridges: &[BridgeSettings], name: &BridgeName| {
        bridges.iter().position(|bridge| bridge.name == *name)
    };
    for bridge in &new.bridges {
        let list = match find(&old.bridges, &bridge.name).and_then(|at| old.bridges.get(at)) {
            None => &mut plan.start,
            Some(before) if before == bridge && makes_alike => &mut plan.keep,
            Some(_) => &mut plan.restart,
        };
        list.push(bridge.name.clone());
    }
    for bridge in &old.bridges {
        if find(&new.bridges, &bridge.name).is_none() {
            plan.stop.push(bridge.name.clone());
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, load};

    fn config_in(folder: &Path, text: &str) -> Config {
        let path = folder.join("bridges.toml");
        std::fs::write(&path, text).unwrap();
        let environment = Environment::of([("T", "t")]);
        load(Path::new(&path), &environment).unwrap().config
    }

    #[test]
    fn a_plan_names_what_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (
            "[bridges.a]\ncommand = 'a'\n",
            "[bridges.b]\nurl = 'http://b'\n",
        );
        let both = format!("{a}{b}");
        // The columns are: old, new, start, stop, restart, keep.
        for (old, new, lists) in [
            ("", "", ["", "", "", ""]),
            ("", &both, ["a b", "", "", ""]),
            (&both, "", ["", "a b", "", ""]),
            (&both, &both, ["", "", "", "a b"]),
            (&both, &format!("{b}{a}"), ["", "", "", "b a"]),
            (&both, a, ["", "b", "", "a"]),
            (a, &format!("{a}lazy = true"), ["", "", "a", ""]),
            (
                a,
                &format!("{a}env = {{ X = '${{T}}' }}"),
                ["", "", "a", ""],
            ),
            (a, &format!("{a}enabled = false"), ["", "", "a", ""]),
            (a, &format!("{a}tools_deny = ['x']"), ["", "", "a", ""]),
            (a, &format!("{a}timeout = '5m'"), ["", "", "", "a"]),
            (a, &format!("{a}title = 'A'"), ["", "", "a", ""]),
            (
                a,
                &format!("{a}unknown_arguments = 'refuse'"),
                ["", "", "a", ""],
            ),
            (
                a,
                &format!("{a}unknown_arguments = 'pass'"),
                ["", "", "", "a"],
            ),
            (
                a,
                &format!("{a}with_key = {{ env = {{ X = '${{T}}' }}, command = 'b' }}"),
                ["", "", "a", ""],
            ),
            (
                a,
                &format!("{a}with_key = {{ env = {{ X = '${{NONE}}' }}, command = 'b' }}"),
                ["", "", "", "a"],
            ),
            (a, "[bridges.a]\ncommand = 'a' # same\n", ["", "", "", "a"]),
            (a, "[bridges.A]\ncommand = 'a'\n", ["A", "a", "", ""]),
        ] {
            let plan = plan(
                &config_in(folder.path(), old),
                &config_in(folder.path(), new),
            );
            let join = |names: &[BridgeName]| {
                names
                    .iter()
                    .map(BridgeName::as_str)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            assert_eq!(
                [
                    join(&plan.start),
                    join(&plan.stop),
                    join(&plan.restart),
                    join(&plan.keep)
                ],
                lists,
                "{old} -> {new}"
            );
            assert!(!plan.server_changed && !plan.identity_changed);
            assert_eq!(
                plan.is_empty(),
                lists[..3] == ["", "", ""],
                "{old} -> {new}"
            );
        }
    }

    #[test]
    fn what_every_session_is_made_with_restarts_them_all() {
        let folder = tempfile::tempdir().unwrap();
        let bridge = "[bridges.a]\ncommand = 'a'\n";
        for (limits, is_kept) in [
            ("result_bytes_max = '16MiB'", false),
            ("tools_bytes_max = '4MiB'", false),
            ("body_bytes_max = '1MiB'", true),
            ("requests_max = 1", true),
            ("calls_per_minute = 5", true),
        ] {
            let old = config_in(folder.path(), bridge);
            let new = config_in(folder.path(), &format!("[limits]\n{limits}\n{bridge}"));
            let plan = plan(&old, &new);
            assert_eq!(
                (plan.keep.len(), plan.restart.len()),
                (usize::from(is_kept), usize::from(!is_kept)),
                "{limits}"
            );
            assert!(plan.after_restart.is_empty(), "{limits}");
        }
    }

    /// Settings that differ from the default, and the name of what waits for a restart because of them.
    const CHANGED: [(&str, Option<&str>); 31] = [
        ("[server]\nlisten = '127.0.0.1:9'", Some("server.listen")),
        ("[server]\nroot_path = '/x'", Some("server.root_path")),
        (
            "[server]\nconnections_max = 77",
            Some("server.connections_max"),
        ),
        ("[server]\ndrain_delay = '7s'", Some("server.drain_delay")),
        (
            "[server]\ndrain_timeout = '7s'",
            Some("server.drain_timeout"),
        ),
        (
            "[server]\ntls_cert = 'c'\ntls_key = 'k'",
            Some("server.tls"),
        ),
        ("[server]\npublic_url = 'https://x'", None),
        ("[server]\npath_prefix = '/x'", None),
        ("[server]\npublic_spec = false", None),
        ("[server]\ncors_allow_origins = ['https://x']", None),
        (
            "[server]\ntitle = 'x'\ndescription = 'x'\nversion = 'x'",
            None,
        ),
        ("[database]\ntimeout = '9s'", Some("database")),
        ("[audit]\narguments = true", Some("audit")),
        (
            "[telemetry]\nlevel = 'debug'",
            Some("telemetry (all but `metrics`)"),
        ),
        ("[telemetry]\nmetrics = 'open'", None),
        ("[limits]\nrequests_max = 1", None),
        ("[server]\ndrop_dead = true", None),
        ("[database]\nurl = 'postgresql://h/n'", Some("database")),
        (
            "[database]\nopen_webui = 'postgresql://h/n'",
            Some("database"),
        ),
        (
            "[database]\nredis_url = 'redis://h'\nredis_prefix = 'x'",
            Some("database"),
        ),
        (
            "[database]\nsecret_key = '0123456789abcdef0123456789abcdef'\nsecret_keys_old = ['fedcba9876543210fedcba9876543210']",
            Some("database"),
        ),
        ("[database]\nsecret_key_file = 'x'", Some("database")),
        ("[database]\nconnections_max = 3", Some("database")),
        ("[audit]\nenabled = false", Some("audit")),
        ("[audit]\njournal = 'x'", Some("audit")),
        ("[audit]\njournal_bytes_max = '2 GiB'", Some("audit")),
        ("[audit]\non_failure = 'refuse'", Some("audit")),
        ("[audit]\nretention = 'forever'", Some("audit")),
        (
            "[telemetry]\nformat = 'json'",
            Some("telemetry (all but `metrics`)"),
        ),
        (
            "[telemetry]\nmetrics_listen = '127.0.0.1:9464'",
            Some("telemetry (all but `metrics`)"),
        ),
        (
            "[telemetry]\notlp_endpoint = 'http://c:4318'\notlp_headers = 'a=b'",
            Some("telemetry (all but `metrics`)"),
        ),
    ];

    #[test]
    fn every_setting_of_these_sections_is_changed_by_a_test() {
        for section in ["server", "database", "audit", "telemetry"] {
            let shown = crate::config::tests::refused(&format!("[{section}]\nqqqqqqqqqq = 1\n"));
            let known = shown.split("the keys are ").nth(1).unwrap();
            let known = known.lines().next().unwrap();
            for key in known.split('`').skip(1).step_by(2) {
                let (header, setting) = (format!("[{section}]\n"), format!("\n{key} ="));
                let is_changed = CHANGED
                    .iter()
                    .any(|(new, _)| new.starts_with(&header) && new.contains(&setting));
                assert!(is_changed, "`{key}` of [{section}]");
            }
        }
    }

    #[test]
    fn what_applies_after_a_restart_is_named_and_held() {
        let folder = tempfile::tempdir().unwrap();
        let old = config_in(folder.path(), "");
        for (new, waits) in CHANGED {
            let new_config = config_in(folder.path(), new);
            let plan = plan(&old, &new_config);
            assert!(!plan.sections().is_empty(), "{new}");
            assert_eq!(
                plan.after_restart,
                waits.into_iter().collect::<Vec<_>>(),
                "{new}"
            );
            let held = in_force(&old, new_config);
            assert_eq!(held == old, waits.is_some(), "{new}");
        }
    }

    #[test]
    fn a_plan_names_the_sections_that_change() {
        let folder = tempfile::tempdir().unwrap();
        for (new, changed) in [
            ("", &[][..]),
            ("[server]\nlisten = '127.0.0.1:9'", &["server"]),
            ("[database]\ntimeout = '9s'", &["database"]),
            ("[identity]\nanonymous = false", &["identity"]),
            ("[identity.keys.x]\nkey = '${T}'", &["identity"]),
            ("[access]\ndefault_groups = ['x']", &["access"]),
            ("[access.groups]\nx = []", &["access"]),
            ("[limits]\nrequests_max = 1", &["limits"]),
            ("[limits.groups]\nx = 1", &["limits"]),
            ("[audit]\narguments = true", &["audit"]),
            ("[telemetry]\nlevel = 'debug'", &["telemetry"]),
        ] {
            let old = config_in(folder.path(), "");
            let plan = plan(&old, &config_in(folder.path(), new));
            assert_eq!(plan.sections(), changed, "{new}");
            assert_eq!(plan.is_empty(), changed.is_empty(), "{new}");
        }
    }
}
