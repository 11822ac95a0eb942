//! Reading a page anew without leaving it: only what differs is changed, so that what a reader opened, typed or marked stays.

use crate::error::is_trouble;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{
    AbortController, Document, DomParser, Element, Event, Node, RequestInit, Response,
    js_sys::{Function, Promise, Reflect},
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
pub fn address() -> String {
    window().location().href().unwrap_or_default()
}

/// Makes this page what the server says where the browser is now. Where it went on meanwhile, there is nothing to do.
pub async fn keep_up() -> Update {
    let update = renew(&["main"], ask(&address())).await;
    if matches!(update, Update::Done) {
        // An event of this name can be made, and nobody cancels it.
        let _ = Event::new(UPDATED).and_then(|event| window().dispatch_event(&event));
    }
    update
}

/// Makes parts of this page what the server answers. `parts`: selectors of one element each. Where the browser went on while the answer
/// was waited for, there is nothing to do.
pub async fn renew(parts: &[&str], asked: Asked) -> Update {
    let begin = address();
    let page = JsFuture::from(asked.page).await.unwrap_or_default();
    if address() != begin {
        return Update::Done;
    }
    match page.dyn_into::<Document>() {
        Ok(page) => show(&page, parts),
        Err(none) if none.is_null() => Update::Elsewhere,
        Err(_) => Update::Unreachable,
    }
}

/// A page that the server was asked for, also one that says that there is nothing. It is read as soon as it comes, whoever waits for it by
/// then: `null` is one that the server led elsewhere for, and without one there is `undefined`.
pub struct Asked {
    page: Promise,
    abort: Option<AbortController>,
}

/// Asks the server for the page at an address; the answer may be waited for later.
pub fn ask(address: &str) -> Asked {
    let (abort, how) = (AbortController::new().ok(), RequestInit::new());
    how.set_signal(abort.as_ref().map(AbortController::signal).as_ref());
    let answer = window().fetch_with_str_and_init(address, &how);
    // That it does not come is no error of the page's.
    let page = async move { Ok(read(answer).await.unwrap_or_default()) };
    Asked { page: future_to_promise(page), abort }
}

impl Asked {
    /// Nobody waits for it any more: left lying it would keep its connection, of which a browser has six.
    pub fn let_go(self) {
        if let Some(abort) = self.abort {
            abort.abort();
        }
    }
}

fn show(page: &Document, parts: &[&str]) -> Update {
    for part in parts {
        let now = document().query_selector(part).ok().flatten();
        let then = page.query_selector(part).ok().flatten();
        match (now, then) {
            (Some(now), Some(then)) => become_like(&now, &then),
            (None, None) => {}
            _ => return Update::Elsewhere,
        }
    }
    document().set_title(&page.title());
    Update::Done
}

async fn read(answer: Promise) -> Result<JsValue, JsValue> {
    let response: Response = JsFuture::from(answer).await?.dyn_into()?;
    if is_trouble(response.status()) {
        return Ok(JsValue::UNDEFINED);
    }
    if response.redirected() {
        return Ok(JsValue::NULL);
    }
    let text = JsFuture::from(response.text()?).await?;
    // The browser hands it on to itself: on the way through this program's memory it would be copied twice.
    let parser = DomParser::new()?;
    let parse: Function = Reflect::get(&parser, &"parseFromString".into())?.dyn_into()?;
    parse.call2(&parser, &text, &"text/html".into())
}

/// Changes `now`, an element of this page, into `then`, its like of another page.
fn become_like(now: &Element, then: &Element) {
    if now.is_equal_node(Some(then)) || now.local_name() == "leptos-island" {
        return;
    }
    if now.local_name() == "svg" || now.class_list().contains("curves") {
        // Nothing in a picture, or in curves with their legend, is opened or typed by a reader, and there may be many hundreds of
        // elements. One that is in a page can be replaced.
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
