//! The one way in which a page learns that something changed: the server says so as its store moves, and the page is read anew.

use crate::{error::ApiError, problem::Problem};
use leptos::prelude::*;

/// Keeps the page around it as the server would make it now. It shows nothing, unless the server does not answer.
#[island]
pub fn Live() -> impl IntoView {
    let lost = RwSignal::new(false);
    let place = NodeRef::<leptos::html::Div>::new();
    #[cfg(feature = "hydrate")]
    Effect::new(move |_| listening::follow(lost, place));
    view! {
        <div class="live" node_ref=place>{move || lost.get().then(|| view! { <Problem error=ApiError::Unreachable/> })}</div>
    }
}

#[cfg(feature = "hydrate")]
mod listening {
    use crate::update::{self, Update};
    use leptos::{ev, html::Div, leptos_dom::helpers::IntervalHandle, prelude::*, task::spawn_local};
    use std::time::Duration;
    use wasm_bindgen::{JsCast, prelude::Closure};
    use web_sys::{Element, Event, EventSource, MessageEvent};

    /// How often a page in the background looks. A browser has six connections to a server for all its tabs together, so those
    /// that nobody sees do not hold one each.
    const HIDDEN_EVERY: Duration = Duration::from_secs(20);
    /// After the server refused the stream, for instance because a new one does not know this session.
    const REFUSED_AFTER: Duration = Duration::from_secs(5);

    /// Listens as long as the page holds `place`: one that cannot change any more does not. `lost` turns true while the server does
    /// not answer.
    pub fn follow(lost: RwSignal<bool>, place: NodeRef<Div>) {
        let listening = StoredValue::new_local(None::<Listening>);
        // Changes come faster than a large page is read: what comes meanwhile is one change.
        let (reading, again) = (StoredValue::new(false), StoredValue::new(false));
        let moved = move || {
            if reading.get_value() {
                return again.set_value(true);
            }
            reading.set_value(true);
            spawn_local(async move {
                loop {
                    again.set_value(false);
                    match update::keep_up().await {
                        Update::Done => lost.set(false),
                        Update::Unreachable => lost.set(true),
                        Update::Elsewhere => drop(window().location().reload()),
                    }
                    if !again.get_value() {
                        break;
                    }
                }
                reading.set_value(false);
                if !place.get_untracked().is_some_and(|place| place.is_connected()) {
                    listening.set_value(None);
                }
            });
        };
        let listen = move || {
            let is_there = place.get_untracked().is_some_and(|place| place.is_connected());
            listening.set_value(is_there.then(|| Listening::new(moved, lost, document().hidden())));
        };
        listen();
        window_event_listener_untyped("visibilitychange", move |_| listen());
        // A plain form leads to another page, and what it changes here, such as a study that is deleted, must not be read before. Where it
        // sends a file that takes long, and meanwhile this page says how far that is.
        window_event_listener(ev::submit, move |event| {
            let form = event.target().and_then(|form| form.dyn_into::<Element>().ok());
            let kind = form.and_then(|form| form.get_attribute("enctype"));
            if !event.default_prevented() && kind.as_deref() != Some("multipart/form-data") {
                listening.set_value(None);
                again.set_value(false);
            }
        });
    }

    /// One way of hearing of changes, until it is dropped.
    enum Listening {
        Stream { events: EventSource, _told: Closure<dyn Fn(MessageEvent)>, _refused: Closure<dyn Fn(Event)> },
        Looks(IntervalHandle),
        Deaf,
    }

    impl Listening {
        fn new(moved: impl Fn() + Copy + 'static, lost: RwSignal<bool>, hidden: bool) -> Listening {
            if hidden {
                return set_interval_with_handle(moved, HIDDEN_EVERY).map_or(Listening::Deaf, Listening::Looks);
            }
            let Ok(events) = EventSource::new("/events") else { return Listening::Deaf };
            // The first message after each connection closes the gap between the page's making and the connection. What number
            // it says does not matter: after a restart the server counts anew.
            let told = Closure::<dyn Fn(MessageEvent)>::new(move |_| moved());
            let stream = events.clone();
            let refused = Closure::<dyn Fn(Event)>::new(move |_| {
                lost.set(true);
                // A server that is away is asked again by the browser; one that refuses is not: the page itself says why.
                if stream.ready_state() == EventSource::CLOSED {
                    set_timeout(|| drop(window().location().reload()), REFUSED_AFTER);
                }
            });
            events.set_onmessage(Some(told.as_ref().unchecked_ref()));
            events.set_onerror(Some(refused.as_ref().unchecked_ref()));
            Listening::Stream { events, _told: told, _refused: refused }
        }
    }

    impl Drop for Listening {
        fn drop(&mut self) {
            match self {
                Listening::Stream { events, .. } => {
                    events.set_onmessage(None);
                    events.set_onerror(None);
                    events.close();
                }
                Listening::Looks(interval) => interval.clear(),
                Listening::Deaf => {}
            }
        }
    }
}
