//! The one way in which a page learns that something changed: a number that the server sends as its store moves.

use leptos::prelude::*;

/// A number that moves whenever the store has something new. On the server, and until the first message, it is 0.
#[cfg(feature = "hydrate")]
pub fn revision() -> ReadSignal<u64> {
    use wasm_bindgen::{JsCast, prelude::Closure};
    let (revision, moved) = signal(0);
    Effect::new(move |_| {
        let Ok(events) = web_sys::EventSource::new("/events") else { return };
        let told = Closure::<dyn Fn(web_sys::MessageEvent)>::new(move |message: web_sys::MessageEvent| {
            // The first message after each connection closes the gap between the page's making and the connection.
            if let Some(number) = message.data().as_string().and_then(|text| text.trim().parse::<u64>().ok()) {
                moved.set(number);
            }
        });
        events.set_onmessage(Some(told.as_ref().unchecked_ref()));
        // Browser objects stay on the one thread that a page has.
        let kept = StoredValue::new_local((events, told));
        on_cleanup(move || {
            kept.try_with_value(|(events, _)| events.close());
        });
    });
    revision
}

/// On the server nothing moves while a page is made.
#[cfg(not(feature = "hydrate"))]
pub fn revision() -> ReadSignal<u64> {
    signal(0).0
}
