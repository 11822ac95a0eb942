//! The one way in which a page learns that something changed: the server says so as its store moves.

use leptos::prelude::*;

/// A number that moves whenever there may be something new. On the server, and until the first message, it is 0.
#[cfg(feature = "hydrate")]
pub fn revision() -> ReadSignal<u64> {
    let (revision, moved) = signal(0);
    Effect::new(move |_| {
        let listening = StoredValue::new_local(None::<listening::Listening>);
        let listen = move || {
            let hidden = document().hidden();
            let _ = listening.try_set_value(Some(listening::Listening::new(moved, hidden)));
        };
        listen();
        let seen = window_event_listener_untyped("visibilitychange", move |_| listen());
        on_cleanup(move || {
            seen.remove();
            let _ = listening.try_set_value(None);
        });
    });
    revision
}

/// On the server nothing moves while a page is made.
#[cfg(not(feature = "hydrate"))]
pub fn revision() -> ReadSignal<u64> {
    signal(0).0
}

#[cfg(feature = "hydrate")]
mod listening {
    use leptos::{leptos_dom::helpers::IntervalHandle, prelude::*};
    use std::time::Duration;
    use wasm_bindgen::{JsCast, prelude::Closure};
    use web_sys::{Event, EventSource, MessageEvent};

    /// How often a page in the background looks. A browser has six connections to a server for all its tabs together, so those
    /// that nobody sees do not hold one each.
    const HIDDEN_EVERY: Duration = Duration::from_secs(20);
    /// After the server refused the stream, for instance because a new one does not know this session.
    const REFUSED_AFTER: Duration = Duration::from_secs(5);

    /// One way of hearing of changes, until it is dropped.
    pub enum Listening {
        Stream { events: EventSource, _told: Closure<dyn Fn(MessageEvent)>, _refused: Closure<dyn Fn(Event)> },
        Looks(IntervalHandle),
        Deaf,
    }

    impl Listening {
        pub fn new(moved: WriteSignal<u64>, hidden: bool) -> Listening {
            let moves = move || {
                let _ = moved.try_update(|number| *number += 1);
            };
            if hidden {
                return set_interval_with_handle(moves, HIDDEN_EVERY).map_or(Listening::Deaf, Listening::Looks);
            }
            let Ok(events) = EventSource::new("/events") else { return Listening::Deaf };
            // The first message after each connection closes the gap between the page's making and the connection. What number
            // it says does not matter: after a restart the server counts anew.
            let told = Closure::<dyn Fn(MessageEvent)>::new(move |_| moves());
            let stream = events.clone();
            let refused = Closure::<dyn Fn(Event)>::new(move |_| {
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
