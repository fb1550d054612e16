//! A thread that stores records in the background: all that waits in its queue becomes one commit. Knows nothing of
//! files.

use super::{Journal, Record, Trouble};
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// A report of the thread, in order.
#[derive(Debug)]
pub enum WriterReport {
    /// All batches up to this number are durable.
    Durable { up_to: u64 },
    /// No further batch is stored; reported once.
    Trouble(Trouble),
}

/// Stores batches of records in the order in which they come, without blocking the sender.
#[derive(Debug)]
pub struct Writer {
    queue: Option<Sender<Batch>>,
    thread: Option<JoinHandle<Result<(), Trouble>>>,
}

type Batch = (u64, Vec<Record>);

impl Writer {
    /// Starts the thread, which reports through `notify`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        journal: impl Journal + 'static,
        notify: impl FnMut(WriterReport) + Send + 'static,
    ) -> io::Result<Writer> {
        let (queue, batches) = mpsc::channel();
        let thread = std::thread::Builder::new().name("journal".into());
        let thread = thread.spawn(move || keep(journal, notify, &batches))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    /// Sends a batch. Its number must be higher than the one before; after a storage failure it is dropped.
    pub fn send(&self, number: u64, records: Vec<Record>) {
        if let Some(queue) = &self.queue {
            // The thread receives until the queue is closed, also after a failure.
            let _ = queue.send((number, records));
        }
    }

    /// Waits until all is durable and completes the journal.
    ///
    /// # Errors
    /// The failure reported before, or one at the end.
    pub fn close(mut self) -> Result<(), Trouble> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Trouble> {
        self.queue = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Errors are reported only by `close`.
            let _ = self.end();
        }
    }
}

fn keep(
    mut journal: impl Journal,
    mut notify: impl FnMut(WriterReport),
    batches: &Receiver<Batch>,
) -> Result<(), Trouble> {
    while let Ok((mut up_to, mut records)) = batches.recv() {
        for (number, more) in batches.try_iter() {
            up_to = number;
            records.extend(more);
        }
        if let Err(trouble) = journal.append(&records) {
            notify(WriterReport::Trouble(trouble.clone()));
            batches.iter().for_each(drop);
            return Err(trouble);
        }
        notify(WriterReport::Durable { up_to });
    }
    journal.tidy()
}
