//! Words that must be absent from some files, or from all of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::rust_source::{Kind, Token, tokens};
use crate::workspace::read as read_output;

/// A file of the repository: its path from the root, with `/`, and what it says.
pub struct Source {
    path: String,
    text: String,
}

/// Every Rust and Cargo file that git tracks or would track.
pub fn read(root: &Path) -> Result<Vec<Source>> {
    let listed = read_output(Command::new("git").current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        "*.rs",
        "*.toml",
    ]))
    .context("git, which knows the files to look at, cannot list them")?;
    let mut sources = Vec::new();
    for path in listed.split_terminator('\0') {
        let file = root.join(path);
        // A file that was deleted and not yet committed is still listed.
        if file.is_file() {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {path}"))?;
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}

/// Every broken invariant of a file, a line each: `path:line: what is wrong`.
pub fn check(source: &Source) -> Vec<String> {
    let path = source.path.as_str();
    let mut broken: Vec<(usize, String)> = Vec::new();
    if path.ends_with(".toml") {
        broken.extend(aborting_panic(&source.text));
    } else {
        broken.extend(file_name(path));
        let tokens = tokens(&source.text);
        for check in [sql, status_codes, tensors, unsafe_code, names, unchecked_sql, pure_study, early_stop] {
            broken.extend(check(path, &tokens));
        }
    }
    broken.sort();
    broken.into_iter().map(|(line, problem)| format!("{path}:{line}: {problem}")).collect()
}

type Broken = Vec<(usize, String)>;

/// The words of the code itself, outside comments, strings and attributes.
fn words<'a, 'source>(tokens: &'a [Token<'source>]) -> impl Iterator<Item = &'a Token<'source>> {
    tokens.iter().filter(|token| token.kind == Kind::Word && !token.in_attribute)
}

fn lies_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

/// Only `store` contains SQL. The samples of this program's own tests are not SQL.
fn sql(path: &str, tokens: &[Token<'_>]) -> Broken {
    if lies_in(path, &["crates/store/", "migrations/", "xtask/"]) {
        return Vec::new();
    }
    let statements = tokens.iter().filter(|token| token.kind == Kind::Text && is_sql(token.text));
    let statements = statements.map(|token| (token.line, "an SQL statement outside crates/store".to_owned()));
    let calls = words(tokens).filter(|token| token.text == "sqlx" || token.text.starts_with("sqlx_"));
    statements.chain(calls.map(|token| (token.line, format!("`{}` outside crates/store", token.text)))).collect()
}

/// Whether a line or statement of a string begins as SQL does, in small letters or in capitals. A sentence for
/// people begins with one capital.
fn is_sql(text: &str) -> bool {
    text.split(['\n', ';']).any(|statement| {
        let words: Vec<&str> = statement.split([' ', '\t', '\\', '(', ')']).filter(|word| !word.is_empty()).collect();
        let is = |at: usize, wanted: &str| {
            words.get(at).is_some_and(|word| *word == wanted || *word == wanted.to_uppercase())
        };
        let has = |wanted: &str| (0..words.len()).any(|at| is(at, wanted));
        let things = ["table", "index", "unique", "view", "trigger"];
        (is(0, "select") && (has("from") || statement.trim_start().starts_with("select count(")))
            || (is(0, "with") && has("as") && has("select"))
            || (is(0, "insert") && (is(1, "into") || is(1, "or")))
            || (is(0, "delete") && is(1, "from"))
            || (is(0, "update") && has("set"))
            || (["create", "alter", "drop"].iter().any(|verb| is(0, verb)) && things.iter().any(|thing| is(1, thing)))
            || (is(0, "pragma") && words.len() > 1)
    })
}

/// Only the one error at the edge, and the process around it, know HTTP status codes.
fn status_codes(path: &str, tokens: &[Token<'_>]) -> Broken {
    if lies_in(path, &["app/src/error.rs", "server/"]) {
        return Vec::new();
    }
    let found = words(tokens).filter(|token| token.text == "StatusCode");
    found.map(|token| (token.line, "`StatusCode` outside app/src/error.rs and server".to_owned())).collect()
}

/// Only `train` contains candle's tensors; `kernels` works on plain buffers.
fn tensors(path: &str, tokens: &[Token<'_>]) -> Broken {
    if lies_in(path, &["crates/train/"]) {
        return Vec::new();
    }
    let found = words(tokens).filter(|token| token.text == "Tensor" || token.text.starts_with("candle_"));
    found.map(|token| (token.line, format!("`{}` outside crates/train", token.text))).collect()
}

/// Only `kernels` is unsafe, and `mapped`, which maps files.
fn unsafe_code(path: &str, tokens: &[Token<'_>]) -> Broken {
    if lies_in(path, &["crates/kernels/", "crates/mapped/"]) {
        return Vec::new();
    }
    let found = words(tokens).filter(|token| token.text == "unsafe");
    found.map(|token| (token.line, "`unsafe` outside crates/kernels and crates/mapped".to_owned())).collect()
}

/// No file is named after nothing.
fn file_name(path: &str) -> Option<(usize, String)> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let empty = ["utils.rs", "util.rs", "helpers.rs", "helper.rs", "common.rs", "types.rs"].contains(&name);
    empty.then(|| (1, format!("a file named {name}: name it after what is in it")))
}

/// The field's whole words, and the words to say instead.
const NAMES: [(&str, &str); 4] =
    [("lr", "learning_rate"), ("ckpt", "checkpoint"), ("alpha", "kd_weight"), ("cfg", "the thing configured")];

/// Abbreviations that mean something else in every code base are not used in names, alone or as a part.
fn names(_path: &str, tokens: &[Token<'_>]) -> Broken {
    let is_macro = |at: usize| tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Mark && next.text == "!");
    let mut broken = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        // `cfg!(...)` is the language's.
        if token.kind != Kind::Word || token.in_attribute || (token.text == "cfg" && is_macro(at)) {
            continue;
        }
        let lower = token.text.to_ascii_lowercase();
        for (part, instead) in NAMES {
            if lower.split('_').any(|piece| piece == part) {
                broken.push((token.line, format!("`{}` says `{part}`: say {instead}", token.text)));
            }
        }
    }
    broken
}

/// No query is put together at run time.
fn unchecked_sql(_path: &str, tokens: &[Token<'_>]) -> Broken {
    let found = words(tokens).filter(|token| token.text == "AssertSqlSafe");
    found
        .map(|token| (token.line, "`AssertSqlSafe`: queries are checked when the program is compiled".to_owned()))
        .collect()
}

/// `study` has no I/O, async, clock or surroundings.
fn pure_study(path: &str, tokens: &[Token<'_>]) -> Broken {
    if !path.starts_with("crates/study/src/") {
        return Vec::new();
    }
    let mut broken = Vec::new();
    for window in tokens.windows(4) {
        let [first, colon, also, second] = window else { continue };
        let is_path = first.text == "std" && colon.text == ":" && also.text == ":";
        if is_path && ["env", "fs", "io", "net", "process", "thread", "time"].contains(&second.text) {
            broken.push((first.line, format!("`std::{}` in study, which is pure", second.text)));
        }
    }
    let found = words(tokens).filter(|token| ["async", "Instant", "SystemTime"].contains(&token.text));
    broken.extend(found.map(|token| (token.line, format!("`{}` in study, which is pure", token.text))));
    broken
}

/// Nothing below the planner knows when distillation stops: it is where one segment ends and the next begins.
fn early_stop(path: &str, tokens: &[Token<'_>]) -> Broken {
    if !lies_in(path, &["crates/train/", "crates/kernels/"]) {
        return Vec::new();
    }
    let found = words(tokens).filter(|token| token.text == "kd_stop_epoch");
    found.map(|token| (token.line, "`kd_stop_epoch` below the planner".to_owned())).collect()
}

/// A panic unwinds: the server answers the next request.
fn aborting_panic(text: &str) -> Broken {
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let bare: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        bare.starts_with("panic=\"abort\"") || bare.contains(",panic=\"abort\"") || bare.contains("{panic=\"abort\"")
    });
    lines.map(|(at, _)| (at + 1, "panic = \"abort\": a panic must unwind".to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<String> {
        check(&Source { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn sql_is_told_outside_store_and_nowhere_in_it() {
        for statement in [
            "select id from runs where study = ?",
            "SELECT id FROM runs",
            "insert into runs (id) values (?)",
            "insert or ignore into runs values (1)",
            "update runs set state = 1",
            "delete from runs",
            "create table runs (id integer primary key) strict",
            "with recursive path as (select 1) select * from path",
            "pragma journal_mode = wal",
            "begin;\\n\n   delete from runs",
        ] {
            let source = format!("fn f() {{\n    query(\"{statement}\") }}");
            let told = broken("server/src/runner.rs", &source);
            assert_eq!(told.len(), 1, "{statement}: {told:?}");
            assert!(told[0].starts_with("server/src/runner.rs:2: an SQL statement"), "{told:?}");
            assert!(broken("crates/store/src/runs.rs", &source).is_empty());
        }
        assert_eq!(broken("app/src/api.rs", "use sqlx::query;"), ["app/src/api.rs:1: `sqlx` outside crates/store"]);
    }

    #[test]
    fn sentences_are_not_sql() {
        for sentence in [
            "Select a teacher from the list",
            "Delete from here?",
            "Update the settings",
            "with a teacher as large as this",
            "selected",
            "create a study",
        ] {
            let told =
                broken("app/src/pages/home.rs", &format!("fn f() {{ view(\"{sentence}\") }} // select a from b"));
            assert!(told.is_empty(), "{told:?}");
        }
    }

    #[test]
    fn status_codes_live_at_the_edge() {
        let source = "use http::StatusCode;";
        assert_eq!(
            broken("app/src/api.rs", source),
            ["app/src/api.rs:1: `StatusCode` outside app/src/error.rs and server"]
        );
        assert!(broken("app/src/error.rs", source).is_empty());
        assert!(broken("server/src/api.rs", source).is_empty());
    }

    #[test]
    fn tensors_live_in_train() {
        let source = "fn f(x: &Tensor) {}\nuse candle_core::Device;";
        assert_eq!(broken("server/src/runner.rs", source).len(), 2);
        assert_eq!(broken("crates/kernels/src/lib.rs", source).len(), 2);
        assert!(broken("crates/train/src/objective.rs", source).is_empty());
        assert!(broken("crates/study/src/lib.rs", "/// Not a Tensor.\nstruct Epoch;").is_empty());
    }

    #[test]
    fn unsafe_lives_in_kernels_and_where_files_are_mapped() {
        let source = "fn f() {\n    unsafe { g() } }";
        assert_eq!(
            broken("crates/train/src/lib.rs", source),
            ["crates/train/src/lib.rs:2: `unsafe` outside crates/kernels and crates/mapped"]
        );
        assert!(broken("crates/mapped/src/words.rs", source).is_empty());
        assert!(broken("crates/kernels/src/simd.rs", source).is_empty());
        assert!(broken("crates/train/src/lib.rs", "#![forbid(unsafe_code)]").is_empty());
    }

    #[test]
    fn files_are_named_after_what_is_in_them() {
        assert_eq!(broken("server/src/utils.rs", "").len(), 1);
        assert_eq!(broken("app/src/form/types.rs", "").len(), 1);
        assert!(broken("app/src/form/field.rs", "").is_empty());
    }

    #[test]
    fn names_are_whole_words() {
        assert_eq!(
            broken(
                "crates/train/src/sgd.rs",
                "let lr = 0.1;\nlet kd_alpha = 1;\nstruct S { best_ckpt: u8 }\nfn f(cfg: u8) {}"
            ),
            [
                "crates/train/src/sgd.rs:1: `lr` says `lr`: say learning_rate",
                "crates/train/src/sgd.rs:2: `kd_alpha` says `alpha`: say kd_weight",
                "crates/train/src/sgd.rs:3: `best_ckpt` says `ckpt`: say checkpoint",
                "crates/train/src/sgd.rs:4: `cfg` says `cfg`: say the thing configured",
            ]
        );
        let fine = "#[cfg(test)]\nfn f() { if cfg!(test) { c.is_alphabetic() } } // lr\nconst S: &str = \"alpha\";";
        assert!(broken("crates/study/src/lib.rs", fine).is_empty());
    }

    #[test]
    fn queries_are_never_put_together() {
        assert_eq!(broken("crates/store/src/runs.rs", "query(AssertSqlSafe(text))").len(), 1);
    }

    #[test]
    fn study_is_pure() {
        let source = "use std::fs;\nlet t = std::time::Instant::now();\nasync fn f() {}";
        assert_eq!(broken("crates/study/src/plan.rs", source).len(), 4);
        assert!(broken("crates/study/src/plan.rs", "use std::collections::BTreeMap; use std::fmt;").is_empty());
        assert!(broken("crates/train/src/worker.rs", source).is_empty());
    }

    #[test]
    fn nothing_below_the_planner_knows_when_distillation_stops() {
        assert_eq!(broken("crates/train/src/segment.rs", "let kd_stop_epoch = 8;").len(), 1);
        assert!(broken("crates/study/src/plan.rs", "let kd_stop_epoch = 8;").is_empty());
    }

    #[test]
    fn panics_unwind() {
        assert_eq!(
            broken("Cargo.toml", "[profile.release]\npanic = \"abort\"\n"),
            ["Cargo.toml:2: panic = \"abort\": a panic must unwind"]
        );
        assert_eq!(broken("Cargo.toml", "[profile]\nrelease = { opt-level = 3, panic=\"abort\" }").len(), 1);
        assert!(broken("Cargo.toml", "# never panic = \"abort\"\npanic = \"unwind\"").is_empty());
    }
}
