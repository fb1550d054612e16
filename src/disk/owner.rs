//! The users whose files count as the user's own: this user, root, the user who called `sudo`, and users that were
//! accepted. Files of others could contain anything.

use std::io;
use std::path::Path;
use std::sync::RwLock;

static ACCEPTED: RwLock<Vec<u32>> = RwLock::new(Vec::new());

/// From now on the files of this user (its number) count as own, too.
pub fn accept_owner(user: u32) {
    if let Ok(mut accepted) = ACCEPTED.write() {
        accepted.push(user);
    }
}

/// Whether files of this user (its number) are accepted.
pub(super) fn is_accepted(user: u32) -> bool {
    user == 0
        || user == rustix::process::geteuid().as_raw()
        || ACCEPTED.read().is_ok_and(|accepted| accepted.contains(&user))
}

/// Rejects a file of another user; the error names the user, and how to accept it.
pub(super) fn refuse_unless(user: u32, path: &Path) -> io::Result<()> {
    if is_accepted(user) {
        return Ok(());
    }
    let path = path.display();
    let message = format!(
        "{path} belongs to another user, number {user}; ORDERFLOW_OWNERS={user} accepts what is theirs"
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}
