//! Reading a page anew without leaving it: only what differs is changed, so that what a reader opened, typed or marked stays.

use crate::error::is_trouble;
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Document, DomParser, Element, Event, Node, RequestInit, Response, SupportedType, js_sys::Promise,
};

/// How it went.
pub enum Update {
    Done,
    /// The server did not answer, or could not do it now.
    Unreachable,
    /// The server answers with another page, as where it asks for its password.
    Elsewhere,
}

/// What the window is told once a page was read anew.
pub const UPDATED: &str = "updated";

/// Where the browser is now.
fn address() -> String {
    window().location().href().unwrap_or_default()
}

/// Makes this page what the server says where the browser is now. Where it went on meanwhile, there is nothing to do.
pub async fn keep_up() -> Update {
    let begin = address();
    let page = read(ask(&begin)).await;
    if address() == begin { show(&page, "main") } else { Update::Done }
}

/// A page that the server was asked for.
pub struct Asked {
    answer: Promise,
    abort: Option<AbortController>,
}

/// Asks the server for the page at an address; the answer may be waited for later.
pub fn ask(address: &str) -> Asked {
    let (abort, how) = (AbortController::new().ok(), RequestInit::new());
    how.set_signal(abort.as_ref().map(AbortController::signal).as_ref());
    Asked { answer: window().fetch_with_str_and_init(address, &how), abort }
}

impl Asked {
    /// Nobody waits for it any more: left lying it would keep its connection, of which a browser has six.
    pub fn let_go(self) {
        if let Some(abort) = self.abort {
            abort.abort();
        }
        // That it does not come is then no error of the page's.
        spawn_local(async move { drop(JsFuture::from(self.answer).await) });
    }
}

/// Makes parts of this page what the server answers. `parts`: selectors of one element each.
pub async fn renew(parts: &[&str], asked: Asked) -> Update {
    let answer = read(asked).await;
    let shown = parts.iter().map(|part| show(&answer, part));
    shown.reduce(|so_far, next| if matches!(so_far, Update::Done) { next } else { so_far }).unwrap_or(Update::Done)
}

type Answer = Result<Option<(Document, bool)>, JsValue>;

fn show(answer: &Answer, part: &str) -> Update {
    let Ok(Some((page, redirected))) = answer else { return Update::Unreachable };
    let now = document().query_selector(part).ok().flatten();
    let then = page.query_selector(part).ok().flatten();
    match (now, then) {
        (Some(now), Some(then)) if !*redirected => {
            document().set_title(&page.title());
            become_like(&now, &then);
            // An event of this name can be made, and nobody cancels it.
            let _ = Event::new(UPDATED).and_then(|event| window().dispatch_event(&event));
            Update::Done
        }
        (None, None) if !*redirected => Update::Done,
        _ => Update::Elsewhere,
    }
}

/// The page that was asked for, also one that says that there is nothing, and whether the server led elsewhere. `None`: none came.
async fn read(asked: Asked) -> Answer {
    let response: Response = JsFuture::from(asked.answer).await?.dyn_into()?;
    if is_trouble(response.status()) {
        return Ok(None);
    }
    let Some(text) = JsFuture::from(response.text()?).await?.as_string() else { return Ok(None) };
    let page = DomParser::new()?.parse_from_string(&text, SupportedType::TextHtml)?;
    Ok(Some((page, response.redirected())))
}

/// Changes `now`, an element of this page, into `then`, its like of another page.
fn become_like(now: &Element, then: &Element) {
    if now.is_equal_node(Some(then)) || now.local_name() == "leptos-island" {
        return;
    }
    if now.local_name() == "svg" {
        // Nothing in a picture is opened, typed or marked by its reader, and it may have many hundreds of elements. One that is in a
        // page can be replaced.
        let _ = now.replace_with_with_node_1(then);
        return;
    }
    for name in then.get_attribute_names() {
        let Some(name) = name.as_string() else { continue };
        let value = then.get_attribute(&name);
        if now.get_attribute(&name) != value {
            // A name that stands on one element may stand on its like.
            let _ = now.set_attribute(&name, &value.unwrap_or_default());
        }
    }
    for name in now.get_attribute_names() {
        // Whether it is open is the reader's business.
        if let Some(name) = name.as_string().filter(|name| name != "open" && !then.has_attribute(name)) {
            let _ = now.remove_attribute(&name);
        }
    }
    // From here on no step can fail: every node that is moved or removed is where it is looked for.
    let mut old = now.first_child();
    let mut next = then.first_child();
    while let Some(new) = next {
        next = new.next_sibling();
        match like(old.as_ref(), &new) {
            Some(kept) => {
                while let Some(gone) = old.take_if(|old| !old.is_same_node(Some(&kept))) {
                    old = gone.next_sibling();
                    let _ = now.remove_child(&gone);
                }
                old = kept.next_sibling();
                match (kept.dyn_ref::<Element>(), new.dyn_ref::<Element>()) {
                    (Some(kept), Some(new)) => become_like(kept, new),
                    _ if kept.node_value() != new.node_value() => kept.set_node_value(new.node_value().as_deref()),
                    _ => {}
                }
            }
            None => drop(now.insert_before(&new, old.as_ref())),
        }
    }
    while let Some(gone) = old {
        old = gone.next_sibling();
        let _ = now.remove_child(&gone);
    }
}

/// The node from `old` on that stands for `new`: an element of the same kind and name wherever it is; of words only the next.
fn like(old: Option<&Node>, new: &Node) -> Option<Node> {
    let mut old = old.cloned()?;
    let Some(new) = new.dyn_ref::<Element>() else { return (old.node_type() == new.node_type()).then_some(old) };
    loop {
        if old.dyn_ref::<Element>().is_some_and(|old| kind(old) == kind(new)) {
            return Some(old);
        }
        old = old.next_sibling()?;
    }
}

/// What an element is: its name, and its class without what the pointer made of it.
fn kind(element: &Element) -> (String, Option<String>, String) {
    let class = element.get_attribute("class").unwrap_or_default();
    let own: Vec<&str> = class.split_whitespace().filter(|name| !["faded", "shown"].contains(name)).collect();
    // Not `element.id()`: of a form that has a field called "id", that is the field.
    (element.local_name(), element.get_attribute("id"), own.join(" "))
}
