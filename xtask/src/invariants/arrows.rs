//! Which crate may depend on which, asked of `cargo tree`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::{WASM, cargo, read};

/// What one crate, built in one way, may and may not have in its dependency tree.
pub struct Arrow {
    package: &'static str,
    /// How it is built, for cargo.
    features: &'static [&'static str],
    /// The same in words, for the message; empty where there is only one way.
    way: &'static str,
    /// Its direct dependencies are among these.
    direct: Direct,
    /// Nowhere in its tree; a `*` at the end stands for any ending.
    absent: &'static [&'static str],
}

enum Direct {
    /// These and nothing else.
    Exactly(&'static [&'static str]),
    /// Of this workspace these, of other crates any.
    OfWorkspace(&'static [&'static str]),
}

const WORKSPACE: [&str; 9] = ["app", "kernels", "mapped", "migrated", "server", "store", "study", "train", "xtask"];

pub const ARROWS: [Arrow; 9] = [
    Arrow {
        package: "study",
        features: &[],
        way: "",
        direct: Direct::Exactly(&["blake3", "serde", "statrs", "thiserror", "toml"]),
        absent: &["getrandom", "rand", "tokio"],
    },
    Arrow { package: "kernels", features: &[], way: "", direct: Direct::Exactly(&[]), absent: &[] },
    Arrow { package: "mapped", features: &[], way: "", direct: Direct::Exactly(&["memmap2"]), absent: &[] },
    Arrow {
        package: "train",
        features: &[],
        way: "",
        direct: Direct::OfWorkspace(&["kernels", "mapped", "study"]),
        absent: &["tokio", "axum*", "sqlx*", "leptos*", "store"],
    },
    Arrow {
        package: "store",
        features: &[],
        way: "",
        direct: Direct::OfWorkspace(&["study"]),
        absent: &["candle*", "axum*", "leptos*", "train"],
    },
    Arrow {
        package: "app",
        features: &["--no-default-features", "--features", "hydrate", "--target", WASM],
        way: " for the browser",
        direct: Direct::OfWorkspace(&["study"]),
        absent: &["candle*", "sqlx*", "tokio", "leptos_router", "leptos_meta", "store", "train", "kernels", "mapped"],
    },
    Arrow {
        package: "app",
        features: &["--no-default-features", "--features", "ssr"],
        way: " for the server",
        direct: Direct::OfWorkspace(&["store", "study"]),
        absent: &["candle*", "train", "kernels", "mapped"],
    },
    Arrow {
        package: "server",
        features: &[],
        way: "",
        direct: Direct::OfWorkspace(&["app", "store", "study", "train"]),
        absent: &[],
    },
    Arrow { package: "migrated", features: &[], way: "", direct: Direct::OfWorkspace(&[]), absent: &["store"] },
];

/// Every broken arrow, a sentence each.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for arrow in &ARROWS {
        // `-e normal,build` leaves out what only tests use; a procedural macro runs in the compiler, not here.
        let tree = |more: &[&str]| {
            let arguments = ["tree", "-p", arrow.package, "-e", "normal,build,no-proc-macro", "--prefix", "none"];
            let listed = read(cargo(root).args(arguments).args(arrow.features).args(more));
            listed.with_context(|| format!("cannot list what {} depends on", arrow.package))
        };
        broken.extend(judge(arrow, &packages(&tree(&["--depth", "1"])?), &packages(&tree(&[])?)));
    }
    Ok(broken)
}

/// The names in a list of `cargo tree --prefix none`, without the first, which is the crate itself.
fn packages(list: &str) -> Vec<&str> {
    list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}

fn judge(arrow: &Arrow, direct: &[&str], tree: &[&str]) -> Vec<String> {
    let Arrow { package, way, .. } = arrow;
    let mut broken = Vec::new();
    for name in direct {
        let (allowed, what) = match arrow.direct {
            Direct::Exactly(allowed) => (allowed, "only"),
            Direct::OfWorkspace(allowed) if WORKSPACE.contains(name) => (allowed, "of this workspace only"),
            Direct::OfWorkspace(_) => continue,
        };
        if !allowed.contains(name) {
            let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
            broken.push(format!("{package}{way} depends on {name}; it may depend on {what} {allowed}"));
        }
    }
    let mut found: Vec<&&str> =
        tree.iter().filter(|name| arrow.absent.iter().any(|pattern| matches(pattern, name))).collect();
    found.sort_unstable();
    found.dedup();
    for name in found {
        broken.push(format!(
            "{package}{way} has {name} in its dependency tree, where it must not be (`cargo tree -i {name}` shows how)"
        ));
    }
    broken
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(package: &str, way: &str) -> &'static Arrow {
        ARROWS.iter().find(|arrow| arrow.package == package && arrow.way == way).expect("an arrow")
    }

    #[test]
    fn the_list_of_cargo_tree_is_read_as_names() {
        let list = "store v0.1.0 (/a/b)\nsqlx v0.9.0\nsqlx-core v0.9.0 (*)\nstudy v0.1.0 (/a/c)\n";
        assert_eq!(packages(list), ["sqlx", "sqlx-core", "study"]);
    }

    #[test]
    fn what_is_allowed_breaks_nothing() {
        assert!(judge(arrow("study", ""), &["serde", "toml"], &["serde", "serde_core", "toml"]).is_empty());
        assert!(
            judge(arrow("train", ""), &["kernels", "candle-core"], &["kernels", "candle-core", "rayon"]).is_empty()
        );
    }

    #[test]
    fn study_with_a_sixth_dependency_is_told() {
        assert_eq!(
            judge(arrow("study", ""), &["serde", "chrono"], &["serde", "chrono"]),
            ["study depends on chrono; it may depend on only blake3, serde, statrs, thiserror, toml"]
        );
    }

    #[test]
    fn kernels_with_any_dependency_is_told() {
        assert_eq!(
            judge(arrow("kernels", ""), &["libm"], &["libm"]),
            ["kernels depends on libm; it may depend on only nothing"]
        );
    }

    #[test]
    fn a_forbidden_crate_deep_in_a_tree_is_told_once() {
        let broken =
            judge(arrow("app", " for the browser"), &["leptos"], &["leptos", "sqlx-core", "sqlx-core", "tokio-util"]);
        assert_eq!(broken.len(), 1, "tokio-util is not tokio: {broken:?}");
        assert!(broken[0].starts_with("app for the browser has sqlx-core in its dependency tree"), "{broken:?}");
    }

    #[test]
    fn train_and_store_must_not_meet_below_the_server() {
        assert_eq!(judge(arrow("train", ""), &["store"], &["store"]).len(), 2);
        assert_eq!(judge(arrow("store", ""), &["train"], &["train"]).len(), 2);
        assert!(judge(arrow("server", ""), &["store", "train"], &["store", "train"]).is_empty());
    }
}
