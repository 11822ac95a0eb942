//! Offline query data: what the database says about each query, kept in `.sqlx/` so that the program compiles
//! without a database. It must say what the migrations make of the queries today.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};

use crate::bundle::read_tree;
use crate::test::clippy;
use crate::workspace::{NATIVE, cargo, run};

/// Query data by file name, as sqlx writes it.
type QueryData = BTreeMap<PathBuf, Vec<u8>>;

/// Fails where `.sqlx/` is not what the queries and the migrations give now.
pub fn check(root: &Path) -> Result<()> {
    // The same call as the clippy step: only `store` and what stands on it is looked at again.
    let fresh = describe_queries(root, &mut clippy(root))?;
    let problems = differences(&committed(root)?, &fresh);
    if !problems.is_empty() {
        bail!("{}\nmend it with `cargo xtask prepare`, and commit .sqlx/", problems.join("\n"));
    }
    println!("    .sqlx/ is what the migrations say about {} queries", fresh.len());
    Ok(())
}

/// Rewrites `.sqlx/`.
pub fn prepare(root: &Path) -> Result<()> {
    // `store` alone, so that queries can be prepared while the rooms above do not compile yet.
    let fresh = describe_queries(root, cargo(root).args(["check", "--release", "-p", "store", "--all-targets"]))?;
    let changed = differences(&committed(root)?, &fresh);
    let folder = root.join(".sqlx");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, bytes) in &fresh {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!(".sqlx/ describes {} queries, {} of its files changed", fresh.len(), changed.len());
    Ok(())
}

fn committed(root: &Path) -> Result<QueryData> {
    read_tree(&root.join(".sqlx"))
}

/// Makes a database from the migrations and lets every query of `store` be described against it while
/// `compile` compiles them.
fn describe_queries(root: &Path, compile: &mut Command) -> Result<QueryData> {
    let migrations = root.join("migrations");
    ensure!(migrations.is_dir(), "there is no {}", migrations.display());
    let work = root.join("target/query-data");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    let described = work.join("sqlx");
    fs::create_dir_all(&described).with_context(|| format!("cannot make {}", described.display()))?;
    let database = work.join("migrated.sqlite");
    run(cargo(root).args(["build", "--release"]).args(NATIVE).args(["--bin", "migrated"]))?;
    run(Command::new(root.join("target/release/migrated")).arg(&migrations).arg(&database))?;

    // Cargo does not know that a query's description depends on the environment: a newer file makes it look.
    let touched = Touched::new(root.join("crates/store/src/lib.rs"))?;
    let compiled = run(compile
        .env("DATABASE_URL", format!("sqlite:{}", database.display()))
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &described));
    drop(touched);
    compiled?;
    read_tree(&described)
}

/// A source file made newer for a while. Its time of change is given back afterwards, so that nothing else is
/// compiled again, unless someone changed the file meanwhile.
struct Touched {
    path: PathBuf,
    before: SystemTime,
    during: SystemTime,
}

impl Touched {
    fn new(path: PathBuf) -> Result<Touched> {
        let touch = || -> std::io::Result<_> {
            let before = fs::metadata(&path)?.modified()?;
            let file = fs::File::options().append(true).open(&path)?;
            file.set_modified(SystemTime::now())?;
            Ok((before, file.metadata()?.modified()?))
        };
        let (before, during) = touch().with_context(|| format!("cannot touch {}", path.display()))?;
        Ok(Touched { path, before, during })
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        // Where this fails, the cost is only that `store` is compiled once more.
        let unchanged = fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok() == Some(self.during);
        if unchanged && let Ok(file) = fs::File::options().append(true).open(&self.path) {
            let _ = file.set_modified(self.before);
        }
    }
}

/// What differs, a sentence a file.
fn differences(committed: &QueryData, fresh: &QueryData) -> Vec<String> {
    let missing = fresh
        .iter()
        .filter(|(name, _)| !committed.contains_key(*name))
        .map(|(name, bytes)| format!(".sqlx/{} is missing{}", name.display(), query(bytes)));
    let stale = committed.iter().filter_map(|(name, bytes)| match fresh.get(name) {
        None => Some(format!(".sqlx/{} belongs to no query any more{}", name.display(), query(bytes))),
        Some(now) if now != bytes => Some(format!(".sqlx/{} says something else{}", name.display(), query(bytes))),
        Some(_) => None,
    });
    missing.chain(stale).collect()
}

/// The line of a query data file that holds the query.
fn query(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("\"query\": "));
    line.map(|query| format!(": {}", query.trim_end_matches(','))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::scratch::Scratch;

    fn data(files: &[(&str, &str)]) -> QueryData {
        files.iter().map(|(name, text)| (name.into(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn equal_query_data_has_no_differences() {
        let same = data(&[("query-1.json", "{}")]);
        assert!(differences(&same, &same).is_empty());
        assert!(differences(&data(&[]), &data(&[])).is_empty());
    }

    #[test]
    fn each_kind_of_difference_names_its_file_and_query() {
        let committed = data(&[("query-old.json", "{\n  \"query\": \"gone\",\n}"), ("query-both.json", "one")]);
        let fresh = data(&[("query-new.json", "{\n  \"query\": \"come\",\n}"), ("query-both.json", "two")]);
        assert_eq!(
            differences(&committed, &fresh),
            [
                ".sqlx/query-new.json is missing: \"come\"",
                ".sqlx/query-both.json says something else",
                ".sqlx/query-old.json belongs to no query any more: \"gone\"",
            ]
        );
    }

    #[test]
    fn a_touched_file_gets_its_time_back_unless_it_was_changed_meanwhile() -> Result<()> {
        let folder = Scratch::new("touched")?;
        let path = folder.path().join("lib.rs");
        let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let later = long_ago + std::time::Duration::from_secs(5);
        let modified = || fs::metadata(&path)?.modified();
        fs::write(&path, "")?;
        fs::File::options().append(true).open(&path)?.set_modified(long_ago)?;

        let touched = Touched::new(path.clone())?;
        assert!(modified()? > long_ago);
        drop(touched);
        assert_eq!(modified()?, long_ago);

        let touched = Touched::new(path.clone())?;
        fs::File::options().append(true).open(&path)?.set_modified(later)?;
        drop(touched);
        assert_eq!(modified()?, later);
        Ok(())
    }
}
