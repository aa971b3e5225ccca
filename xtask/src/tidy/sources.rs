//! Rust sources: every file says what it is, unsafe code stays where it is allowed, and a package
//! contains what it compiles in.

use std::fs;
use std::path::Path;

use crate::failure::{Context, Failure};
use crate::workspace;

/// The files, or folders if they end in a slash, that may contain unsafe code.
const UNSAFE_ALLOWED: [&str; 11] = [
    "crates/schema/src/table.rs",
    "crates/backend/src/foreign_functions.rs",
    "crates/backend-tflite/src/",
    "crates/backend-litert/src/",
    "crates/backend-native/src/simd/",
    "crates/backend-native/src/kernels/",
    "crates/backend-native/src/threads.rs",
    "crates/backend-native/tests/allocations.rs",
    "crates/embedder/src/model_file/",
    "crates/embedder/tests/embedder/model_files.rs",
    "crates/preprocess/tests/allocations.rs",
];

/// Every source file that breaks a rule.
pub(super) fn check(root: &Path) -> Result<Vec<String>, Failure> {
    let mut sources = Vec::new();
    for folder in ["crates", "xtask", "benches"] {
        for path in workspace::files_below(&root.join(folder))? {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)
                    .context(|| format!("cannot read {}", path.display()))?;
                sources.push((workspace::relative(&path, root), text));
            }
        }
    }
    Ok(violations(&sources, &UNSAFE_ALLOWED))
}

fn violations(sources: &[(String, String)], allowed: &[&str]) -> Vec<String> {
    let mut violations = Vec::new();
    for (place, text) in sources {
        if !text.starts_with("//! ") {
            violations.push(format!("{place}:1: the first line must say what the file is: //! …"));
        }
        let code = without_comments_and_literals(text);
        if !is_allowed(place, allowed)
            && let Some(line) = line_of_unsafe(&code)
        {
            violations.push(format!("{place}:{line}: unsafe code is not allowed here"));
        }
        for included in included_from_outside(place, text) {
            violations.push(format!("{place}: {included} is not in the package of this crate"));
        }
        let is_root = place.ends_with("/src/lib.rs") || place.ends_with("/src/main.rs");
        let folder = place.trim_end_matches("lib.rs").trim_end_matches("main.rs");
        let has_unsafe = allowed.iter().any(|entry| entry.starts_with(folder));
        if is_root && !has_unsafe && !code.contains("#![forbid(unsafe_code)]") {
            violations.push(format!("{place}: a crate root must have #![forbid(unsafe_code)]"));
        }
    }
    for entry in allowed {
        let needed = sources.iter().any(|(place, text)| {
            is_allowed(place, &[entry])
                && line_of_unsafe(&without_comments_and_literals(text)).is_some()
        });
        if !needed {
            violations.push(format!(
                "xtask/src/tidy/sources.rs: {entry} is allowed unsafe code but has none"
            ));
        }
    }
    violations
}

/// The files that the sources of a package compile in from outside its folder.
fn included_from_outside(place: &str, text: &str) -> Vec<String> {
    let Some((_, inner)) = place.split_once("/src/") else {
        return Vec::new();
    };
    // Folders between the file and the package: `src` and those below it.
    let depth = inner.matches('/').count() + 1;
    let mut outside = Vec::new();
    for start in ["include_bytes!(", "include_str!(", "include!("] {
        for after in text.split(start).skip(1) {
            let Some(path) = after.trim_start().strip_prefix('"') else {
                continue;
            };
            let path = path.split('"').next().unwrap_or_default();
            let climbs = path.split('/').take_while(|part| *part == "..").count();
            if climbs > depth {
                outside.push(path.to_owned());
            }
        }
    }
    outside
}

fn is_allowed(place: &str, allowed: &[&str]) -> bool {
    allowed
        .iter()
        .any(|entry| if entry.ends_with('/') { place.starts_with(entry) } else { place == *entry })
}

/// The first line, counted from 1, with the keyword `unsafe`.
fn line_of_unsafe(code: &str) -> Option<usize> {
    code.lines()
        .position(|line| {
            line.split(|character: char| !(character.is_alphanumeric() || character == '_'))
                .any(|word| word == "unsafe")
        })
        .map(|index| index + 1)
}

/// `text` with comments and the contents of string and character literals left out, line breaks
/// kept.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_length(rest),
            '"' => quoted_length(rest, '"'),
            '\'' => character_length(rest),
            'r' if !code.ends_with(|before: char| before.is_alphanumeric() && before != 'b') => {
                raw_string_length(rest)
            }
            _ => 0,
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|character| *character == '\n'));
            // A literal stays a token of its own.
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut position = 0;
    while position < text.len() {
        let rest = &text.as_bytes()[position..];
        if rest.starts_with(b"/*") {
            depth += 1;
            position += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += 1;
        }
    }
    text.len()
}

/// The length of the literal that starts `text` with the quote `quote`, both quotes included.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (position, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return position + 1;
        }
    }
    text.len()
}

/// The length of the character literal that starts `text`, 0 if it is a lifetime.
fn character_length(text: &str) -> usize {
    let mut inner = text.chars().skip(1);
    match (inner.next(), inner.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted_length(text, '\''),
        _ => 0,
    }
}

/// The length of the raw string literal that starts `text`, 0 if there is none.
fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let Some(body) = text[1 + hashes..].strip_prefix('"') else {
        return 0;
    };
    let end = format!("\"{}", "#".repeat(hashes));
    body.find(&end).map_or(text.len(), |position| 2 + hashes + position + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(place: &str, text: &str) -> Vec<String> {
        violations(&[(place.to_owned(), text.to_owned())], &[])
    }

    #[test]
    fn a_file_must_say_what_it_is() {
        assert!(check_one("crates/a/src/b.rs", "//! What it is.\n").is_empty());
        for text in ["", "\n//! Late.\n", "// Not a doc.\n", "fn main() {}\n"] {
            let found = check_one("crates/a/src/b.rs", text);
            assert_eq!(found.len(), 1, "{text:?}: {found:?}");
            assert!(found[0].starts_with("crates/a/src/b.rs:1: "), "{found:?}");
        }
    }

    #[test]
    fn unsafe_code_is_found_where_it_is_code() {
        for code in ["unsafe { f() }", "pub unsafe fn f() {}", "unsafe impl Send for S {}"] {
            let found = check_one("crates/a/src/b.rs", &format!("//! Doc.\n\n{code}\n"));
            assert_eq!(found, ["crates/a/src/b.rs:3: unsafe code is not allowed here"], "{code}");
        }
        for other in [
            "// unsafe",
            "/* outer /* unsafe */ unsafe */",
            "const A: &str = \"unsafe \\\" unsafe\";",
            "const A: &str = r#\"unsafe \" unsafe\"#;",
            "const A: &[u8] = br\"unsafe\";",
            "#![deny(unsafe_op_in_unsafe_fn)]",
            "const A: char = '\"'; // unsafe \"",
        ] {
            let found = check_one("crates/a/src/b.rs", &format!("//! Doc.\n{other}\n"));
            assert!(found.is_empty(), "{other}: {found:?}");
        }
    }

    #[test]
    fn literals_do_not_hide_the_code_behind_them() {
        for before in ["'\"'", "'\\''", "\"\\\\\"", "r\"\\\"", "b'\"'", "&'a str", "br#\"\"#"] {
            let found = check_one("crates/a/src/b.rs", &format!("//! Doc.\n{before}; unsafe\n"));
            assert_eq!(found.len(), 1, "{before}: {found:?}");
        }
    }

    #[test]
    fn crate_roots_forbid_unsafe_code_unless_the_crate_may_have_it() {
        let text = "//! Doc.\n".to_owned();
        for root in ["crates/a/src/lib.rs", "xtask/src/main.rs"] {
            let found = check_one(root, &text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("#![forbid(unsafe_code)]"), "{found:?}");
            let forbidden = format!("{text}#![forbid(unsafe_code)]\n");
            assert!(check_one(root, &forbidden).is_empty());
        }
        let sources = [
            ("crates/a/src/lib.rs".to_owned(), text.clone()),
            ("crates/a/src/sys.rs".to_owned(), format!("{text}unsafe\n")),
        ];
        assert!(violations(&sources, &["crates/a/src/sys.rs"]).is_empty());
        assert!(violations(&sources, &["crates/a/src/"]).is_empty());
        assert_eq!(violations(&sources, &[]).len(), 2);
    }

    #[test]
    fn compiled_in_files_lie_within_the_package() {
        let included = |place: &str, path: &str| {
            let text = format!("//! Doc.\nstatic A: &[u8] = include_bytes!(\n    \"{path}\"\n);\n");
            check_one(place, &text)
        };
        assert!(included("crates/a/src/b.rs", "../models/c.bin").is_empty());
        assert!(included("crates/a/src/b/c.rs", "../../models/c.bin").is_empty());
        assert!(included("crates/a/tests/b.rs", "../../c.bin").is_empty());
        let place = "crates/a/src/b.rs";
        let expected = format!("{place}: ../../c.bin is not in the package of this crate");
        assert_eq!(included(place, "../../c.bin"), [expected]);
    }

    #[test]
    fn an_idle_permission_is_named() {
        let sources = [("crates/a/src/b.rs".to_owned(), "//! Doc.\n".to_owned())];
        let found = violations(&sources, &["crates/a/src/b.rs"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("crates/a/src/b.rs is allowed unsafe code but has none"));
    }
}
