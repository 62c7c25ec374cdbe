//! The headers that make a request a part of a trace: W3C Trace Context.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Returns the headers of a trace among these; `None` when there is no `traceparent`.
pub(crate) fn of_headers(headers: &HeaderMap) -> Option<Arc<HeaderMap>> {
    let mut trace = HeaderMap::new();
    trace.insert(TRACEPARENT, headers.get(TRACEPARENT)?.clone());
    // A list may be spread over several headers.
    for state in headers.get_all(TRACESTATE) {
        trace.append(TRACESTATE, state.clone());
    }
    Some(Arc::new(trace))
}

/// Returns the headers of the span that the current task is in.
#[cfg(feature = "opentelemetry")]
pub(crate) fn current() -> Option<Arc<HeaderMap>> {
    use http::HeaderValue;
    use opentelemetry::{Context, trace::TraceContextExt as _};

    Context::map_current(|context| {
        let span = context.span();
        let span = Some(span.span_context()).filter(|span| span.is_valid())?;
        let (trace, parent, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::try_from(format!("00-{trace}-{parent}-{flags:02x}")).ok()?);
        let state = span.trace_state().header();
        if let (false, Ok(state)) = (state.is_empty(), HeaderValue::try_from(state)) {
            headers.insert(TRACESTATE, state);
        }
        Some(Arc::new(headers))
    })
}

/// Without the feature `opentelemetry` nothing is known of the current task.
#[cfg(not(feature = "opentelemetry"))]
pub(crate) fn current() -> Option<Arc<HeaderMap>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_headers_of_a_trace_are_taken() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACESTATE, "shop=1".parse().unwrap());
        headers.append(TRACESTATE, "other=2".parse().unwrap());
        headers.insert("authorization", "Bearer x".parse().unwrap());
        assert_eq!(of_headers(&headers), None);
        headers.insert(TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
        let trace = of_headers(&headers).unwrap();
        assert_eq!((trace.len(), trace.get_all(TRACESTATE).iter().count()), (3, 2));
    }
}
