//! The browser bundle: what lies in `target/site` and is embedded in the server.
//!
//! ```text
//! target/site/pkg/stillroom.js  stillroom_bg.wasm  stillroom.css  snippets/...
//! target/site/favicon.svg       and whatever else lies in style/static
//! ```
//!
//! Each text-like file has a Brotli sibling (`.br`). A file is written only where its content changed, so that
//! a second build neither compresses again nor makes the server compile again.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use brotli::enc::BrotliEncoderParams;
use wasm_bindgen_cli_support::Bindgen;

use crate::workspace::WASM;

/// The files of a site: path below `target/site`, content.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Assembles `target/site` out of the compiled pages and `style/`; returns how many files changed.
pub fn assemble(root: &Path) -> Result<usize> {
    let wasm = root.join("target").join(WASM).join("browser/app.wasm");
    let bound = bind(&wasm, &root.join("target/bundle"))?;
    let style = root.join("style");
    let mut files = Files::new();
    for (path, bytes) in read_tree(&bound)? {
        files.insert(Path::new("pkg").join(path), bytes);
    }
    files.insert("pkg/stillroom.css".into(), style_sheet(&style)?);
    files.extend(read_tree(&style.join("static"))?);
    write_site(&root.join("target/site"), &files)
}

/// Runs wasm-bindgen over the compiled pages and returns the folder with its output, `stillroom.js` and
/// `stillroom_bg.wasm`. Nothing is done where the output stands beside the hash of this very input.
fn bind(wasm: &Path, work: &Path) -> Result<PathBuf> {
    let input = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    let output = work.join("bindgen");
    let stamp = work.join("input.blake3");
    let hash = blake3::hash(&input).to_hex().to_string();
    if output.is_dir() && fs::read_to_string(&stamp).is_ok_and(|old| old == hash) {
        return Ok(output);
    }
    remove_tree(&output)?;
    Bindgen::new()
        .input_bytes("stillroom", input)
        .out_name("stillroom")
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .generate(&output)
        .context("wasm-bindgen failed on the compiled pages")?;
    // Output first, stamp second: the stamp promises a complete output.
    fs::write(&stamp, hash).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(output)
}

/// The files of `style/*.css`, one after the other in the order of their names.
fn style_sheet(style: &Path) -> Result<Vec<u8>> {
    let mut sheet = Vec::new();
    for (path, bytes) in read_tree(style)? {
        if path.components().count() == 1 && path.extension().is_some_and(|extension| extension == "css") {
            sheet.extend(bytes);
            if sheet.last().is_some_and(|&last| last != b'\n') {
                sheet.push(b'\n');
            }
        }
    }
    Ok(sheet)
}

/// Makes `site` hold exactly `files` and their compressed siblings; returns how many files changed.
fn write_site(site: &Path, files: &Files) -> Result<usize> {
    let mut changed = 0;
    let mut kept = Vec::new();
    for (path, bytes) in files {
        let target = site.join(path);
        let differs = fs::read(&target).ok().as_ref() != Some(bytes);
        if differs {
            write_file(&target, bytes)?;
            changed += 1;
        }
        kept.push(path.clone());
        if is_compressible(path) {
            let compressed = compressed_path(path);
            let sibling = site.join(&compressed);
            // The sibling is renamed into place after its file was written: an older one is of older content.
            if differs || !is_at_least_as_new(&sibling, &target) {
                let beside = sibling.with_extension("part");
                write_file(&beside, &brotli(bytes)?)?;
                fs::rename(&beside, &sibling).with_context(|| format!("cannot write {}", sibling.display()))?;
            }
            kept.push(compressed);
        }
    }
    for path in read_tree(site)?.into_keys() {
        if !kept.contains(&path) {
            let stale = site.join(path);
            fs::remove_file(&stale).with_context(|| format!("cannot remove {}", stale.display()))?;
            changed += 1;
        }
    }
    Ok(changed)
}

fn is_compressible(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("js" | "wasm" | "css" | "svg" | "json" | "txt" | "html"))
}

fn compressed_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".br");
    name.into()
}

fn is_at_least_as_new(path: &Path, than: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    matches!((modified(path), modified(than)), (Some(this), Some(that)) if this >= that)
}

/// Brotli at its best: a bundle is compressed once and sent many times.
fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let settings = BrotliEncoderParams { quality: 11, lgwin: 24, size_hint: bytes.len(), ..Default::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &settings)?;
    Ok(compressed)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::File::create(path)?.write_all(bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn remove_tree(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Every file below a folder by its path there, in order; none where there is no such folder.
pub fn read_tree(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut folders = if folder.is_dir() { vec![folder.to_owned()] } else { Vec::new() };
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let below = path.strip_prefix(folder)?.to_owned();
                ensure!(files.insert(below, bytes).is_none(), "{} was met twice", path.display());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::scratch::Scratch;

    fn expand(compressed: &[u8]) -> Vec<u8> {
        let mut expanded = Vec::new();
        brotli::BrotliDecompress(&mut &compressed[..], &mut expanded).expect("valid Brotli");
        expanded
    }

    fn modified(path: &Path) -> std::time::SystemTime {
        fs::metadata(path).expect("the file is there").modified().expect("a time of change")
    }

    #[test]
    fn a_site_holds_its_files_their_compressed_siblings_and_nothing_else() -> Result<()> {
        let folder = Scratch::new("site")?;
        let site = folder.path();
        write_file(&site.join("pkg/snippets/old.js"), b"old")?;
        let script = b"console.log('still');".repeat(50);
        let files = Files::from([("pkg/stillroom.js".into(), script.clone()), ("picture.png".into(), vec![1, 2, 3])]);

        assert_eq!(write_site(site, &files)?, 3, "two files written, one removed");
        let there: Vec<_> = read_tree(site)?.into_keys().collect();
        assert_eq!(there, [Path::new("picture.png"), Path::new("pkg/stillroom.js"), Path::new("pkg/stillroom.js.br")]);
        let compressed = fs::read(site.join("pkg/stillroom.js.br"))?;
        assert!(compressed.len() < script.len() / 5);
        assert_eq!(expand(&compressed), script);
        Ok(())
    }

    #[test]
    fn an_unchanged_site_is_not_touched_and_a_changed_file_is_compressed_again() -> Result<()> {
        let folder = Scratch::new("unchanged")?;
        let site = folder.path();
        let mut files = Files::from([("a.css".into(), b"a {}".to_vec()), ("b.css".into(), b"b {}".to_vec())]);
        write_site(site, &files)?;
        let before = (modified(&site.join("a.css")), modified(&site.join("a.css.br")));

        assert_eq!(write_site(site, &files)?, 0);
        files.insert("b.css".into(), b"b { color: red }".to_vec());
        assert_eq!(write_site(site, &files)?, 1);

        assert_eq!(before, (modified(&site.join("a.css")), modified(&site.join("a.css.br"))));
        assert_eq!(expand(&fs::read(site.join("b.css.br"))?), b"b { color: red }");
        Ok(())
    }

    #[test]
    fn the_style_sheet_is_the_files_in_the_order_of_their_names() -> Result<()> {
        let folder = Scratch::new("style")?;
        write_file(&folder.path().join("20-page.css"), b"page {}\n")?;
        write_file(&folder.path().join("10-tokens.css"), b"tokens {}")?;
        write_file(&folder.path().join("notes.txt"), b"not a style")?;
        write_file(&folder.path().join("static/other.css"), b"not in the sheet")?;
        assert_eq!(style_sheet(folder.path())?, b"tokens {}\npage {}\n");
        assert_eq!(style_sheet(&folder.path().join("missing"))?, b"");
        Ok(())
    }
}
