//! The sinks of events: how far they are behind, and the deliveries that failed.

use authy_core::engine::{SinkStatus, StuckCursor, StuckQuery, StuckState};

use super::{
    super::delivery::{self, LINK, of_sink},
    has_full_power,
    view::{Count, SinkLine, SinksView, StuckList},
};
use crate::ui::{
    answer::{Answer, Shown},
    moment::Moment,
    visit::Visit,
};

pub(super) const PATH: &str = "/authy/ui/admin/sinks";

/// Number of deliveries per page: a few screens.
const DELIVERIES_A_PAGE: u32 = 50;

/// The positions of the two lists, by the names of their fields.
const REPEATED: &str = "after";
const GIVEN_UP: &str = "given_up_after";

pub(super) async fn list(visit: &Visit<'_>) -> Shown {
    let sink = visit.query.get("sink").filter(|sink| !sink.is_empty());
    let sinks = visit.authy.deliveries().list_sinks().await?;
    let repeated = stuck(visit, StuckState::Repeated, sink).await?;
    let given_up = stuck(visit, StuckState::GivenUp, sink).await?;
    let can_dismiss = has_full_power(visit.identity()?) && !given_up.deliveries.is_empty();
    let dismiss_all = match sink.filter(|_| can_dismiss) {
        Some(sink) => {
            let until = visit.authy.deliveries().database_time().await?.timestamp();
            Some(format!("{}/dismiss?until={until}", of_sink(sink)))
        }
        None => None,
    };
    Ok(Answer::page(&SinksView {
        sinks: sinks.iter().map(|status| sink_line(visit, status, sink)).collect(),
        dismiss_all,
        sink: sink.map(str::to_owned),
        repeated,
        given_up,
    }))
}

/// Returns a page of failed deliveries. The other list stays where it is.
async fn stuck(visit: &Visit<'_>, state: StuckState, sink: Option<&str>) -> authy_core::Result<StuckList> {
    let (field, other) = match state {
        StuckState::Repeated => (REPEATED, GIVEN_UP),
        StuckState::GivenUp => (GIVEN_UP, REPEATED),
    };
    let after = visit.query.get(field).and_then(|text| text.parse::<StuckCursor>().ok());
    let is_later = after.is_some();
    let query = StuckQuery { sink: sink.map(str::to_owned), after, limit: DELIVERIES_A_PAGE, ..StuckQuery::new(state) };
    let page = visit.authy.deliveries().list(&query).await?;
    let address = |position: Option<String>| {
        let kept = [("sink", sink.map(str::to_owned)), (other, visit.query.get(other).map(str::to_owned))];
        let fields = kept.into_iter().chain([(field, position)]).filter_map(|(name, text)| Some((name, text?)));
        // Pairs of texts can always be written.
        let query = serde_urlencoded::to_string(fields.collect::<Vec<_>>()).unwrap_or_default();
        if query.is_empty() { LINK.to_owned() } else { format!("{LINK}?{query}") }
    };
    Ok(StuckList {
        deliveries: delivery::lines(visit, &page.deliveries, false).await?,
        first: is_later.then(|| address(None)),
        next: page.next.map(|next| address(Some(next.to_string()))),
    })
}

fn sink_line(visit: &Visit<'_>, status: &SinkStatus, chosen: Option<&str>) -> SinkLine {
    let query = serde_urlencoded::to_string([("sink", &status.sink)]).unwrap_or_default();
    SinkLine {
        name: status.sink.clone(),
        path: format!("{LINK}?{query}"),
        is_chosen: chosen == Some(&*status.sink),
        waiting: Count::new(status.waiting, status.waiting_is_at_least),
        oldest: status.oldest.map(|time| Moment::new(time, visit.now, &visit.language.texts)),
        stuck: status.stuck,
        given_up: status.given_up,
        error: status.error.clone(),
    }
}
