//! The context of a trace in HTTP headers: `traceparent` and `tracestate` of W3C Trace Context.

use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Length of a `traceparent` of version 00 in bytes; that of a later version is at least as long.
const TRACEPARENT_BYTES: usize = 55;

/// Maximum length of an accepted `tracestate` in bytes: as much as the specification requires to be passed on. A client
/// that sends more would otherwise decide how much the collector gets.
const TRACESTATE_BYTES: usize = 512;

/// Returns the span that a request is a part of: that of the program around this one, or the caller's.
pub(super) fn of_request(headers: &HeaderMap) -> Option<Context> {
    let is_in_span = |context: &Context| context.span().span_context().is_valid();
    let current = Context::map_current(|current| is_in_span(current).then(|| current.clone()));
    current.or_else(|| of_headers(headers))
}

fn of_headers(headers: &HeaderMap) -> Option<Context> {
    // Most requests have none. The library reads fields that are too short as well.
    headers.get(TRACEPARENT).filter(|text| text.len() >= TRACEPARENT_BYTES)?;
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &CallerHeaders(headers));
    context.has_active_span().then_some(context)
}

/// The headers of a request, for the parser of OpenTelemetry.
struct CallerHeaders<'a>(&'a HeaderMap);

impl Extractor for CallerHeaders<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.to_str().ok()?;
        (name != TRACESTATE || text.len() <= TRACESTATE_BYTES).then_some(text)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Returns the headers that make what they are sent with a part of a span. None when there is no span.
#[cfg(any(feature = "amqp", feature = "webhook"))]
pub(super) fn to_headers(span: &opentelemetry::trace::SpanContext) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if span.is_valid() {
        let (trace, parent, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
        headers.push((TRACEPARENT, format!("00-{trace}-{parent}-{flags:02x}")));
        let state = span.trace_state().header();
        if !state.is_empty() {
            headers.push((TRACESTATE, state));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use opentelemetry::trace::SpanContext;
    use proptest::prelude::*;

    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(traceparent: &str, tracestate: &str) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(traceparent).ok()?);
        headers.insert(TRACESTATE, HeaderValue::from_str(tracestate).ok()?);
        of_request(&headers).map(|context| context.span().span_context().clone())
    }

    #[test]
    fn the_headers_of_a_caller_are_read_and_written_again() {
        let span = read(SAMPLED, "shop=a1,other=b2").unwrap();
        assert!(span.is_sampled() && span.is_remote());
        let written = [(TRACEPARENT, SAMPLED.to_owned()), (TRACESTATE, "shop=a1,other=b2".to_owned())];
        assert_eq!(to_headers(&span), written);
        assert!(!read(&SAMPLED.replace("-01", "-00"), "").unwrap().is_sampled());
        assert_eq!(to_headers(&SpanContext::empty_context()), []);
    }

    #[test]
    fn what_is_no_context_is_not_there() {
        assert!(of_request(&HeaderMap::new()).is_none());
        let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let future = SAMPLED.replacen("00", "ff", 1);
        for text in ["", "01", zeros, &future, &SAMPLED.to_uppercase(), &SAMPLED[..54], "00-x-y-01"] {
            assert_eq!(read(text, "shop=a1"), None, "{text}");
        }
        let long = format!("shop={}", "x".repeat(TRACESTATE_BYTES));
        assert_eq!(read(SAMPLED, &long).unwrap().trace_state().header(), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_context_that_can_be_written_or_none(
            parent in prop_oneof!["[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]{0,9})?", "[ -~]{0,80}"],
            state in prop_oneof!["([a-z0-9@]{1,9}=[ -~]{0,9},?){0,5}", "[ -~]{0,600}"],
        ) {
            if let Some(span) = read(&parent, &state) {
                prop_assert!(span.is_valid());
                let written = to_headers(&span);
                let state = written.get(1).map_or("", |(_, state)| state);
                prop_assert!(state.len() <= TRACESTATE_BYTES);
                let again = read(&written[0].1, state).unwrap();
                prop_assert_eq!((again.trace_id(), again.span_id()), (span.trace_id(), span.span_id()));
                prop_assert_eq!(again.is_sampled(), span.is_sampled());
            }
        }
    }
}
