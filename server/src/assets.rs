//! The files a browser loads beside a page: embedded in the binary, compressed beforehand, and named by content.
//!
//! A page asks for `/pkg/stillroom.js?v=VERSION`, where VERSION is the beginning of the file's hash: that answer
//! may be kept for ever. Without the version, or with another one than this binary holds, the browser has to ask
//! again, and is told in few bytes where nothing changed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

/// What `cargo xtask build` left in `target/site`.
#[derive(rust_embed::Embed)]
#[folder = "$CARGO_MANIFEST_DIR/../target/site"]
struct Site;

/// One embedded file.
struct Asset {
    plain: Bytes,
    /// The same, compressed with Brotli; absent for what is compressed already.
    brotli: Option<Bytes>,
    /// blake3 of `plain`, in hex.
    hash: String,
}

/// Every file by its path in a URL (`/pkg/stillroom.js`).
type Assets = BTreeMap<String, Asset>;

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    assets_of(Site::iter().filter_map(|path| {
        let bytes = match Site::get(&path)?.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Some((path.into_owned(), bytes))
    }))
});

/// The versions of the three files that every page loads: the first 12 hex digits of the blake3 of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    pub js: String,
    pub wasm: String,
    pub css: String,
}

/// What to write behind `?v=` for `/pkg/stillroom.js`, `/pkg/stillroom_bg.wasm` and `/pkg/stillroom.css`.
/// A file that is not embedded has the version `none`.
pub fn versions() -> Versions {
    versions_of(&ASSETS)
}

/// Answers `/pkg/*` and `/favicon.svg`: the file, compressed where the browser takes Brotli; 304 where the browser
/// has it; 404 where there is none.
pub async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    respond(&ASSETS, &uri, &headers)
}

/// The style of every page, to be put into a page that is one file. Empty where it is not embedded.
pub fn style() -> String {
    ASSETS.get("/pkg/stillroom.css").map_or(String::new(), |asset| String::from_utf8_lossy(&asset.plain).into_owned())
}

/// Pairs files with their compressed siblings (`.br`), which are not served under names of their own.
fn assets_of(files: impl Iterator<Item = (String, Bytes)>) -> Assets {
    let files: BTreeMap<String, Bytes> = files.collect();
    let plain = files.iter().filter(|(path, _)| !path.ends_with(".br"));
    let assets = plain.map(|(path, bytes)| {
        let brotli = files.get(&format!("{path}.br")).cloned();
        let hash = blake3::hash(bytes).to_hex().to_string();
        (format!("/{path}"), Asset { plain: bytes.clone(), brotli, hash })
    });
    assets.collect()
}

fn version(asset: &Asset) -> &str {
    &asset.hash[..12]
}

fn versions_of(assets: &Assets) -> Versions {
    let of = |path: &str| assets.get(path).map_or("none", version).to_owned();
    Versions { js: of("/pkg/stillroom.js"), wasm: of("/pkg/stillroom_bg.wasm"), css: of("/pkg/stillroom.css") }
}

fn respond(assets: &Assets, uri: &Uri, headers: &HeaderMap) -> Response {
    let Some(asset) = assets.get(uri.path()) else {
        return answer(StatusCode::NOT_FOUND, Body::from("There is no such file.\n"), |headers| {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        });
    };
    let compressed = asset.brotli.as_ref().filter(|_| accepts_brotli(headers));
    // The two forms of a file are different bytes and need different tags.
    let tag = if compressed.is_some() { format!("\"{}-br\"", asset.hash) } else { format!("\"{}\"", asset.hash) };
    let is_named_by_content = asked_version(uri) == Some(version(asset));
    let caching = if is_named_by_content { "public, max-age=31536000, immutable" } else { "no-cache" };
    let describe = |headers: &mut HeaderMap| {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        if asset.brotli.is_some() {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
    };
    if has_already(headers, &tag) {
        return answer(StatusCode::NOT_MODIFIED, Body::empty(), describe);
    }
    let body = Body::from(compressed.unwrap_or(&asset.plain).clone());
    answer(StatusCode::OK, body, |headers| {
        describe(headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(uri.path())));
        if compressed.is_some() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        }
    })
}

fn answer(status: StatusCode, body: Body, describe: impl FnOnce(&mut HeaderMap)) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    describe(response.headers_mut());
    response
}

/// The `v` of a query such as `?v=0123456789ab`.
fn asked_version(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("v="))
}

/// Whether the request takes Brotli: named, and not with the weight 0 (RFC 9110, 12.5.3).
fn accepts_brotli(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let is_brotli = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("br"));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        is_brotli && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

/// Whether the request names this tag among those it has (RFC 9110, 13.1.2; a weak tag will do).
fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|named| named == "*" || named.trim_start_matches("W/") == tag)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("html") => "text/html; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "console.log('still')";

    fn assets() -> Assets {
        let files = [
            ("pkg/stillroom.js", SCRIPT),
            ("pkg/stillroom.js.br", "(compressed)"),
            ("pkg/stillroom_bg.wasm", "\0asm"),
            ("favicon.svg", "<svg/>"),
        ];
        assets_of(files.into_iter().map(|(path, text)| (path.to_owned(), Bytes::from_static(text.as_bytes()))))
    }

    fn ask(url: &str, headers: &[(http::HeaderName, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value")));
        respond(&assets(), &url.parse().expect("a URL"), &headers.collect())
    }

    fn header(response: &Response, name: http::HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().expect("text"))
    }

    async fn body(response: Response) -> Bytes {
        axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body")
    }

    #[tokio::test]
    async fn a_browser_that_takes_brotli_gets_the_compressed_file() {
        let response = ask("/pkg/stillroom.js", &[(ACCEPT_ENCODING, "gzip, deflate, br, zstd")]);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, CONTENT_TYPE), Some("text/javascript; charset=utf-8"));
        assert_eq!(header(&response, CONTENT_ENCODING), Some("br"));
        assert_eq!(header(&response, VARY), Some("accept-encoding"));
        assert_eq!(body(response).await, "(compressed)");
    }

    #[tokio::test]
    async fn any_other_gets_the_file_itself_and_caches_keep_them_apart() {
        for offer in ["gzip", "br;q=0", "br; q=0.0", "brotli", ""] {
            let response = ask("/pkg/stillroom.js", &[(ACCEPT_ENCODING, offer)]);
            assert_eq!(header(&response, CONTENT_ENCODING), None, "{offer}");
            assert_eq!(header(&response, VARY), Some("accept-encoding"));
            assert_eq!(body(response).await, SCRIPT);
        }
        let response = ask("/pkg/stillroom_bg.wasm", &[(ACCEPT_ENCODING, "br")]);
        assert_eq!(header(&response, CONTENT_ENCODING), None, "there is no compressed sibling");
        assert_eq!(header(&response, VARY), None);
        assert_eq!(header(&response, CONTENT_TYPE), Some("application/wasm"));
    }

    #[test]
    fn only_the_right_version_may_be_kept_for_ever() {
        let version = versions_of(&assets()).js;
        let caching = |url: &str| header(&ask(url, &[]), CACHE_CONTROL).map(str::to_owned);
        let for_ever = Some("public, max-age=31536000, immutable".to_owned());
        assert_eq!(caching(&format!("/pkg/stillroom.js?v={version}")), for_ever);
        assert_eq!(caching(&format!("/pkg/stillroom.js?a=b&v={version}")), for_ever);
        for url in
            ["/pkg/stillroom.js", "/pkg/stillroom.js?v=", "/pkg/stillroom.js?v=of-another-build", "/pkg/none.js?v=1"]
        {
            assert_eq!(caching(url).as_deref(), Some("no-cache"), "{url}");
        }
    }

    #[tokio::test]
    async fn a_browser_that_has_the_file_is_told_so() {
        for offer in ["br", "gzip"] {
            let first = ask("/pkg/stillroom.js", &[(ACCEPT_ENCODING, offer)]);
            let tag = header(&first, ETAG).expect("a tag").to_owned();
            let weak = format!("\"other\", W/{tag}");
            for named in [tag.as_str(), weak.as_str(), "*"] {
                let again = ask("/pkg/stillroom.js", &[(ACCEPT_ENCODING, offer), (IF_NONE_MATCH, named)]);
                assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
                assert_eq!(header(&again, ETAG), Some(tag.as_str()));
                assert_eq!(header(&again, CACHE_CONTROL), Some("no-cache"));
                assert!(body(again).await.is_empty());
            }
            let other = if offer == "br" { "gzip" } else { "br" };
            let in_the_other_form = ask("/pkg/stillroom.js", &[(ACCEPT_ENCODING, other), (IF_NONE_MATCH, &tag)]);
            assert_eq!(in_the_other_form.status(), StatusCode::OK);
        }
    }

    #[test]
    fn what_is_not_there_is_not_found_and_compressed_files_have_no_address() {
        for url in ["/pkg/other.js", "/pkg/stillroom.js.br", "/pkg/", "/", "/pkg/../favicon.svg", "/pkg//stillroom.js"]
        {
            assert_eq!(ask(url, &[]).status(), StatusCode::NOT_FOUND, "{url}");
        }
        assert_eq!(header(&ask("/favicon.svg", &[]), CONTENT_TYPE), Some("image/svg+xml"));
    }

    #[test]
    fn versions_are_the_beginning_of_the_hash() {
        let Versions { js, wasm, css } = versions_of(&assets());
        assert_eq!(js, blake3::hash(SCRIPT.as_bytes()).to_hex()[..12]);
        assert_eq!(wasm, blake3::hash(b"\0asm").to_hex()[..12]);
        assert_eq!(css, "none");
    }

    #[tokio::test]
    async fn the_embedded_site_is_served_where_it_was_built() {
        // True with a bundle and without one: what `versions` knows, `serve` has.
        let response = serve(Uri::from_static("/pkg/stillroom.js"), HeaderMap::new()).await;
        assert_eq!(response.status() == StatusCode::OK, versions().js != "none");
    }
}
