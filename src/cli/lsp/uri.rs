//! Addresses of files as editors write them, `file:///a%20b.md`, from and to paths.

use gen_lsp_types::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::path::{Path, PathBuf};

/// What is written as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The path of a file; `None` for anything else, such as a document without a file.
pub fn path(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    // A host may be before the path.
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    let path = percent_decode_str(rest).decode_utf8().ok()?;
    let clean = path.starts_with('/') && !path.contains('\0');
    clean.then(|| PathBuf::from(path.into_owned()))
}

/// The address of a file.
pub fn uri(path: &Path) -> Uri {
    Uri::from(format!("file://{}", utf8_percent_encode(&path.to_string_lossy(), PLAIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_addresses_belong_together() {
        let odd = Path::new("/a b/ä#?.md");
        assert_eq!(uri(odd).as_ref(), "file:///a%20b/%C3%A4%23%3F.md");
        assert_eq!(path(uri(odd).as_ref()).as_deref(), Some(odd));
        assert_eq!(path("file://localhost/x.md").as_deref(), Some(Path::new("/x.md")));
        for none in ["untitled:Untitled-1", "file://x", "file:///a%00b", "file:///%ff", "", "http://x/y"] {
            assert_eq!(path(none), None, "{none}");
        }
    }
}
