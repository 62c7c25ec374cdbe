//! The audit trail.

use authy_core::{
    Result,
    api::event::{EventPage, ListEvents},
};

use crate::call::Call;

pub(crate) async fn list(call: Call<'_, ListEvents>) -> Result<EventPage> {
    call.authy.events().list(&call.request).await
}
