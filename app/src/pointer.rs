//! What follows the pointer and the focus on a report: the arm that is met stays while the others fade everywhere, the legend reads
//! its lines at the epoch under the pointer, and another metric's curves, or another arm, come without the page being left.

use leptos::prelude::*;

/// What an address says, beside a metric and an arm, to be answered with a part of the page: [`EVIDENCE`], [`CLOSER`], or [`BAND`]
/// with an arm's number.
pub const PART: &str = "part";
/// The curves of another metric.
pub const EVIDENCE: &str = "evidence";
/// Another arm, closer.
pub const CLOSER: &str = "closer";
/// An arm's bands.
pub const BAND: &str = "band-";

/// Follows the pointer on the page around it. It shows nothing itself.
#[island]
pub fn Pointer() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    Effect::new(|_| follow::follow());
}

#[cfg(feature = "hydrate")]
mod follow {
    use super::{BAND, CLOSER, EVIDENCE, PART};
    use crate::{
        readout::{self, Epochs},
        update::{self, Asked, Update},
    };
    use leptos::{ev, prelude::*, task::spawn_local};
    use std::time::Duration;
    use wasm_bindgen::{JsCast, JsValue};
    use web_sys::{Element, EventTarget, MouseEvent, NodeList, PointerEvent};

    /// How long an arm has to be pointed at before its bands are asked for: a pointer on its way passes many.
    const BAND_AFTER: Duration = Duration::from_millis(60);
    /// Where bands stand.
    const BANDS: [&str; 2] = [".evidence .curves-whole .bands", ".evidence .curves-end .bands"];

    pub fn follow() {
        let lit = StoredValue::new(None::<String>);
        // Of curves too many to show their bands, those of the arm that is pointed at, unless they are there.
        let show_bands = move || {
            let Some(arm) = lit.get_value() else { return };
            let is_left_out = is_there(".evidence .curves.many") && !is_there(&format!(".bands [data-arm=\"{arm}\"]"));
            if !is_left_out {
                return;
            }
            let ask = move || {
                if lit.with_value(|lit| lit.as_ref() == Some(&arm)) {
                    let asked = update::ask(&part_of(&update::address(), &format!("{BAND}{arm}")));
                    spawn_local(async move {
                        // Where they do not come, the line is there without them.
                        update::renew(&BANDS, asked).await;
                        fade_others(lit.get_value().as_deref());
                    });
                }
            };
            set_timeout(ask, BAND_AFTER);
        };
        let light = move |target: Option<EventTarget>| {
            let arm = target.and_then(|it| closest(&it, "[data-arm]")).and_then(|it| it.get_attribute("data-arm"));
            if lit.get_value() != arm {
                fade_others(arm.as_deref());
                lit.set_value(arm);
                show_bands();
            }
        };
        // What a click would ask for is asked for as soon as the pointer, or the focus, is there: it comes the sooner.
        let asked = StoredValue::new_local(None::<(Picked, Asked)>);
        let let_go = move || {
            if let Some((_, answer)) = asked.try_update_value(Option::take).flatten() {
                answer.let_go();
            }
        };
        let ahead = move |target: Option<EventTarget>| {
            if let Some(picked) = target.and_then(|target| picked(&target))
                && asked.with_value(|asked| asked.as_ref().is_none_or(|(its, _)| *its != picked))
            {
                let_go();
                let answer = picked.ask();
                asked.set_value(Some((picked, answer)));
            }
        };
        window_event_listener(ev::pointerover, move |event| {
            light(event.target());
            ahead(event.target());
        });
        window_event_listener(ev::pointerout, move |event| light(event.related_target()));
        window_event_listener(ev::focusin, move |event| {
            light(event.target());
            ahead(event.target());
        });
        window_event_listener(ev::focusout, move |event| light(event.related_target()));

        let read = StoredValue::new(None::<u32>);
        window_event_listener(ev::pointermove, move |event| {
            // Over the legend, what was read stays to be looked at.
            if event.target().is_some_and(|target| closest(&target, ".legend").is_some()) {
                return;
            }
            let under = under_pointer(&event);
            let epoch = under.as_ref().map(|(_, epoch)| *epoch);
            if read.get_value() != epoch {
                read.set_value(epoch);
                for curves in all("div.curves") {
                    let epoch = under.as_ref().filter(|(its, _)| *its == curves).map(|(_, epoch)| *epoch);
                    read_at(&curves, epoch);
                }
            }
        });

        // A page that is read anew loses what was made of it here: it is made again, and read at the next move.
        let make_again = move || {
            fade_others(lit.get_value().as_deref());
            show_bands();
            read.set_value(None);
            let_go();
        };
        window_event_listener_untyped(update::UPDATED, move |_| make_again());

        window_event_listener(ev::click, move |event| {
            let picked = event.target().and_then(|target| picked(&target));
            if let Some(picked) = picked.filter(|_| is_plain(&event)) {
                event.prevent_default();
                let is_asked = asked.with_value(|asked| asked.as_ref().is_some_and(|(its, _)| *its == picked));
                if !is_asked {
                    let_go();
                }
                let answer = asked.try_update_value(Option::take).flatten();
                let answer = answer.map_or_else(|| picked.ask(), |(_, answer)| answer);
                pick(&picked, answer, make_again);
            }
        });
        window_event_listener(ev::popstate, |_| {
            spawn_local(async {
                if !matches!(update::keep_up().await, Update::Done) {
                    // The browser's own way says what is wrong.
                    drop(window().location().reload());
                }
            });
        });
    }

    fn elements(list: Result<NodeList, JsValue>) -> impl Iterator<Item = Element> {
        let list = list.ok();
        let count = list.as_ref().map_or(0, NodeList::length);
        (0..count).filter_map(move |index| list.as_ref()?.item(index)?.dyn_into().ok())
    }

    fn all(selector: &str) -> impl Iterator<Item = Element> + use<> {
        elements(document().query_selector_all(selector))
    }

    fn is_there(selector: &str) -> bool {
        document().query_selector(selector).ok().flatten().is_some()
    }

    fn closest(target: &EventTarget, selector: &str) -> Option<Element> {
        target.dyn_ref::<Element>()?.closest(selector).ok().flatten()
    }

    fn fade_others(lit: Option<&str>) {
        // A page has many hundreds of them: the browser finds those that change. Names of classes without spaces can always be set.
        let its = lit.map_or_else(String::new, |arm| format!("[data-arm=\"{arm}\"]"));
        for element in all(&format!("{its}.faded")) {
            let _ = element.class_list().remove_1("faded");
        }
        if lit.is_some() {
            for element in all(&format!("[data-arm]:not({its}, .faded)")) {
                let _ = element.class_list().add_1("faded");
            }
        }
    }

    /// The curves under the pointer, and the epoch there.
    fn under_pointer(event: &PointerEvent) -> Option<(Element, u32)> {
        let chart = closest(&event.target()?, "svg.over-epochs")?;
        let plot = chart.query_selector("rect.plot").ok()??.get_bounding_client_rect();
        let share = (f64::from(event.client_x()) - plot.left()) / plot.width();
        let (from, until) = window_of(&chart)?;
        let curves = chart.closest("div.curves").ok()??;
        let epoch = (from + share.clamp(0.0, 1.0) * (until - from)).round() as u32;
        let epoch = held(&curves)?.from(epoch);
        (-0.01..=1.01).contains(&share).then_some((curves, epoch))
    }

    /// The epochs whose values curves hold.
    fn held(curves: &Element) -> Option<Epochs> {
        let number = |name| curves.get_attribute(name)?.parse::<u32>().ok();
        Some(Epochs { step: number("data-step").filter(|step| *step > 0)?, last: number("data-last")? })
    }

    /// The first and the last epoch that a chart shows.
    fn window_of(chart: &Element) -> Option<(f64, f64)> {
        let number = |name| chart.get_attribute(name)?.parse::<f64>().ok();
        Some((number("data-from")?, number("data-until")?))
    }

    /// Lets the legend read its lines at `epoch`, and both charts show where that is.
    fn read_at(curves: &Element, epoch: Option<u32>) {
        let Some(held) = held(curves) else { return };
        let unit = curves.get_attribute("data-unit").unwrap_or_default();
        if let Ok(Some(heading)) = curves.query_selector(".legend-head") {
            heading.set_text_content(Some(&readout::heading(epoch)));
        }
        for value in elements(curves.query_selector_all(".legend-value")) {
            let values = value.get_attribute("data-values").unwrap_or_default();
            value.set_text_content(held.value(&values, &unit, epoch).as_deref());
        }
        for chart in elements(curves.query_selector_all("svg.over-epochs")) {
            let (Some((from, until)), Ok(Some(line))) = (window_of(&chart), chart.query_selector(".crosshair")) else {
                continue;
            };
            let share = epoch
                .map(|epoch| (f64::from(epoch) - from) / (until - from))
                .filter(|share| (0.0..=1.0).contains(share));
            if let Some(at) = share.map(|share| format!("{:.2}%", 100.0 * share)) {
                // Attributes of these names may always be set.
                let _ = line.set_attribute("x1", &at).and_then(|()| line.set_attribute("x2", &at));
            }
            let _ = line.class_list().toggle_with_force("shown", share.is_some());
        }
    }

    /// A click that asks for nothing but the page itself: no other tab or window.
    fn is_plain(event: &MouseEvent) -> bool {
        event.button() == 0 && !event.ctrl_key() && !event.meta_key() && !event.shift_key() && !event.alt_key()
    }

    /// A link to another metric or arm.
    #[derive(PartialEq)]
    struct Picked {
        /// Of the page that shows it.
        address: String,
        /// The part that becomes another, as an address says it.
        part: &'static str,
    }

    fn picked(target: &EventTarget) -> Option<Picked> {
        let link = closest(target, ".metrics a")?;
        let part = if closest(&link, ".closer").is_some() { CLOSER } else { EVIDENCE };
        Some(Picked { address: link.get_attribute("href")?, part })
    }

    impl Picked {
        fn ask(&self) -> Asked {
            update::ask(&part_of(&self.address, self.part))
        }

        /// What becomes another; each panel's links name what the other one shows.
        fn parts(&self) -> [&'static str; 2] {
            if self.part == CLOSER { [".closer", ".evidence nav"] } else { [".evidence", ".closer nav"] }
        }
    }

    /// The address of a part of a page.
    fn part_of(address: &str, part: &str) -> String {
        let (page, _) = address.split_once('#').unwrap_or((address, ""));
        let joint = if page.contains('?') { '&' } else { '?' };
        format!("{page}{joint}{PART}={part}")
    }

    /// Goes to what a link names, and shows it once it is answered. Going there first costs nothing while the answer is waited for.
    fn pick(picked: &Picked, answer: Asked, make_again: impl Fn() + 'static) {
        let history = window().history().ok();
        let moved = history.map(|history| history.push_state_with_url(&JsValue::NULL, "", Some(&picked.address)));
        if !matches!(moved, Some(Ok(()))) {
            // The browser's own way says what is wrong.
            let _ = window().location().set_href(&picked.address);
            return;
        }
        let parts = picked.parts();
        spawn_local(async move {
            match update::renew(&parts, answer).await {
                Update::Done => make_again(),
                // The browser's own way says what is wrong.
                Update::Unreachable | Update::Elsewhere => drop(window().location().reload()),
            }
        });
    }
}
