//! What a reload changes. Pure: two configurations in, names out.

use super::{Bridge, Config};
use crate::name::BridgeName;

/// What a reload changes, each list in the order of the new file (`stop`: of the old one).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each section")]
pub struct Plan {
    /// Bridges that are new.
    pub start: Vec<BridgeName>,
    /// Bridges that are gone.
    pub stop: Vec<BridgeName>,
    /// Bridges whose configuration differs in anything, switched on or off included.
    pub restart: Vec<BridgeName>,
    /// Bridges that keep their session.
    pub keep: Vec<BridgeName>,
    /// `[server]` differs. Address, TLS and paths take a restart of the process.
    pub server_changed: bool,
    /// `[database]` differs. It takes a restart of the process.
    pub database_changed: bool,
    /// `[identity]` differs.
    pub identity_changed: bool,
    /// `[access]` differs.
    pub access_changed: bool,
    /// `[limits]` differs.
    pub limits_changed: bool,
    /// `[audit]` differs. It takes a restart of the process.
    pub audit_changed: bool,
    /// `[telemetry]` differs.
    pub telemetry_changed: bool,
}

impl Plan {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.sections().is_empty()
            && self.start.is_empty()
            && self.stop.is_empty()
            && self.restart.is_empty()
    }

    /// The sections that differ, by their names in the file.
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
pub fn plan(old: &Config, new: &Config) -> Plan {
    let mut plan = Plan {
        server_changed: old.server != new.server,
        database_changed: old.database != new.database,
        access_changed: old.access != new.access,
        audit_changed: old.audit != new.audit,
        identity_changed: old.identity != new.identity,
        limits_changed: old.limits != new.limits,
        telemetry_changed: old.telemetry != new.telemetry,
        ..Plan::default()
    };
    let find = |bridges: &[Bridge], name: &BridgeName| {
        bridges.iter().position(|bridge| bridge.name == *name)
    };
    for bridge in &new.bridges {
        let list = match find(&old.bridges, &bridge.name).and_then(|at| old.bridges.get(at)) {
            None => &mut plan.start,
            // What mcpo does with children differs, even if the entry reads the same.
            Some(before) if before == bridge && old.flavor == new.flavor => &mut plan.keep,
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
        // old, new, start, stop, restart, keep
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
