//! Appends the audit trail to a file, one JSON object a line.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _},
    mem,
    path::Path,
};

use authy_client::{
    Session, Timestamp,
    api::event::{EventCursor, EventOrder, EventQuery, EventView},
    futures_util::TryStreamExt as _,
};

use crate::{Result, output::print};

/// Appends the events that the file does not have yet.
pub(crate) async fn export(session: &Session, since: Option<Timestamp>, to: &Path) -> Result {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", to.display());
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(to).map_err(|error| named(&error))?;
    // Two runs at once would both write the same events.
    file.try_lock().map_err(|_| named(&"another run writes it"))?;
    let after = continue_at_end(&mut file).map_err(|error| named(&error))?;
    let query = EventQuery { since, after, order: Some(EventOrder::Ascending), ..EventQuery::default() };
    let mut events = session.events(query);
    let mut writer = BufWriter::new(file);
    let mut exported = 0_u64;
    while let Some(event) = events.try_next().await? {
        serde_json::to_writer(&mut writer, &event)?;
        writer.write_all(b"\n")?;
        exported += 1;
    }
    writer.flush()?;
    writer.get_ref().sync_all()?;
    print(format_args!("{exported} events exported"))
}

/// Goes to the end of the last complete line, and returns the position of its event. What a run that was killed left
/// behind it is cut off.
fn continue_at_end(file: &mut File) -> io::Result<Option<EventCursor>> {
    let (mut end, mut last, mut line) = (0, Vec::new(), Vec::new());
    let mut lines = BufReader::new(&*file);
    while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        end += line.len() as u64;
        mem::swap(&mut last, &mut line);
        line.clear();
    }
    let last = if end > 0 { Some(serde_json::from_slice::<EventView>(&last)?.cursor()) } else { None };
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(last)
}
