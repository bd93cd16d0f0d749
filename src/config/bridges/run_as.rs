//! `user` of a bridge: the operating system user that runs its program.

use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

/// An operating system user, with the group and the home directory for its programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAsUser {
    /// The login name, or the number of a user without one.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The only group id.
    pub gid: u32,
    /// The home directory in the system's list of users.
    pub home: Option<PathBuf>,
}

/// Why a value of `user` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAsError {
    /// The value is invalid on every system.
    Wrong(String),
    /// The value does not fit this system.
    Here(String),
}

impl RunAsUser {
    /// Finds `USER` or `USER:GROUP`, each a name or a number, in the system's lists of users and groups.
    pub fn find(text: &str) -> Result<Self, RunAsError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user.trim(), Some(group.trim())),
            None => (text.trim(), None),
        };
        if user.is_empty() || group == Some("") {
            return Err(RunAsError::Wrong(
                "`user` is neither `USER` nor `USER:GROUP`".to_owned(),
            ));
        }
        let found = match number(user)? {
            Some(uid) => User::from_uid(Uid::from_raw(uid)),
            None => User::from_name(user),
        };
        let found = found.map_err(|error| RunAsError::Here(format!("`user`: {error}")))?;
        let uid = match (&found, number(user)?) {
            (Some(found), _) => found.uid.as_raw(),
            (None, Some(uid)) => uid,
            (None, None) => {
                return Err(RunAsError::Here(format!("the system has no user `{user}`")));
            }
        };
        let gid = match (group, &found) {
            (Some(group), _) => group_of(group)?,
            (None, Some(found)) => found.gid.as_raw(),
            (None, None) => {
                return Err(RunAsError::Here(format!(
                    "the system has no user {uid}, so its group is not known: write `user = \"{uid}:GROUP\"`"
                )));
            }
        };
        if uid == 0 || gid == 0 {
            return Err(RunAsError::Wrong(
                "`user` must be another user and group than root".to_owned(),
            ));
        }
        Ok(Self {
            name: found
                .as_ref()
                .map_or_else(|| uid.to_string(), |found| found.name.clone()),
            uid,
            gid,
            home: found.map(|found| found.dir),
        })
    }

    /// Returns the variables that describe the user to the program.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        let home = self.home.as_deref().unwrap_or(Path::new("/"));
        [
            ("HOME", home.to_owned()),
            ("USER", self.name.clone().into()),
            ("LOGNAME", self.name.clone().into()),
        ]
    }

    /// Returns the program's folder unless `cwd` is set: the home directory, or `/` if there is none.
    pub fn folder(&self) -> &Path {
        let home = self.home.as_deref().filter(|home| home.is_dir());
        home.unwrap_or(Path::new("/"))
    }
}

/// Parses a number. The largest one means "no change" to the operating system.
fn number(text: &str) -> Result<Option<u32>, RunAsError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| *number != u32::MAX);
    let wrong = || {
        RunAsError::Wrong(format!(
            "`user`: {text} is not a valid user or group number"
        ))
    };
    number.map(Some).ok_or_else(wrong)
}

fn group_of(group: &str) -> Result<u32, RunAsError> {
    if let Some(gid) = number(group)? {
        return Ok(gid);
    }
    let found =
        Group::from_name(group).map_err(|error| RunAsError::Here(format!("`user`: {error}")))?;
    found
        .map(|found| found.gid)
        .map(Gid::as_raw)
        .ok_or_else(|| RunAsError::Here(format!("the system has no group `{group}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_names_or_numbers() {
        let account = RunAsUser::find("nobody").unwrap();
        assert_eq!(account.name, "nobody");
        assert!(account.uid > 0 && account.gid > 0);
        assert_eq!(RunAsUser::find(&account.uid.to_string()).unwrap(), account);
        let other = RunAsUser::find("nobody:4711").unwrap();
        assert_eq!((other.uid, other.gid), (account.uid, 4711));
        let unlisted = RunAsUser::find("47114:4712").unwrap();
        assert_eq!(
            (unlisted.name.as_str(), unlisted.uid, unlisted.gid),
            ("47114", 47114, 4712)
        );
        assert_eq!(
            (unlisted.home.as_ref(), unlisted.folder()),
            (None, Path::new("/"))
        );
    }

    #[test]
    fn what_cannot_be_a_user_says_why() {
        for (text, why) in [
            ("", "neither `USER` nor `USER:GROUP`"),
            ("nobody:", "neither `USER` nor `USER:GROUP`"),
            ("root", "than root"),
            ("0:1", "than root"),
            ("nobody:0", "than root"),
            ("nobody:root", "than root"),
            ("4294967295:1", "is not a valid user or group number"),
            ("99999999999:1", "is not a valid user or group number"),
        ] {
            let Err(RunAsError::Wrong(told)) = RunAsUser::find(text) else {
                panic!("{text}");
            };
            assert!(told.contains(why), "{text}: {told}");
        }
        for (text, why) in [
            ("no-such-user-x", "no user `no-such-user-x`"),
            ("nobody:no-such-group-x", "no group `no-such-group-x`"),
            ("47114", "write `user = \"47114:GROUP\"`"),
        ] {
            let Err(RunAsError::Here(told)) = RunAsUser::find(text) else {
                panic!("{text}");
            };
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
