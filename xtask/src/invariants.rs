//! What must be absent: arrows between crates, and words in sources. See ARCHITECTURE.md, "Invariants".

mod arrows;
mod sources;

use std::path::Path;

use anyhow::{Result, bail};

/// Fails with every broken invariant at once, a line each.
pub fn check(root: &Path) -> Result<()> {
    let mut broken = arrows::check(root)?;
    let sources = sources::read(root)?;
    broken.extend(sources.iter().flat_map(sources::check));
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    println!("    {} arrows and {} files hold", arrows::ARROWS.len(), sources.len());
    Ok(())
}
