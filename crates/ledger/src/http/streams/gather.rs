//! From lines to batches: a batch is what the engine takes on at once, and no chain is cut.

use super::super::bodies::PostTransactionBody;
use super::ResultLine;
use kernel::UserId;
use ledger_api::NewTransaction;
use serde_json::Value;
use uuid::Uuid;
use web::parse_json;

/// The most lines of one batch, and of one chain.
const BATCH_LINES_MAX: usize = 1_000;

/// The most bytes of the lines of one batch, and of one chain.
const BATCH_BYTES_MAX: usize = 4_194_304;

/// Lines whose transactions the engine takes on at once, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) slots: Vec<Slot>,
    pub(super) chains: Vec<Vec<NewTransaction>>,
    bytes: usize,
}

/// What is known of one line before the engine has answered.
#[derive(Debug)]
pub(super) enum Slot {
    /// The engine decides; its outcomes come in the order of these.
    Waiting { line: u64, id: Uuid },
    /// It will never get there.
    Refused(ResultLine),
}

/// A line of a chain that has not ended yet.
#[derive(Debug)]
struct Link {
    line: u64,
    id: Option<Uuid>,
    content: Result<NewTransaction, String>,
}

/// Gathers lines until there is enough for a batch.
#[derive(Debug)]
pub(super) struct Gatherer {
    /// Who sends the lines.
    initiated_by: UserId,
    batch: Batch,
    /// A batch that was full before the one that is being gathered.
    full: Option<Batch>,
    chain: Vec<Link>,
    chain_bytes: usize,
    /// Whether the present chain is refused because it is too long.
    is_too_long: bool,
}

impl Slot {
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::Waiting { line, .. } => *line,
            Self::Refused(result) => result.line,
        }
    }
}

impl Batch {
    fn has_room_for(&self, lines: usize, bytes: usize) -> bool {
        let is_empty = self.slots.is_empty();
        is_empty
            || self.slots.len().saturating_add(lines) <= BATCH_LINES_MAX
                && self.bytes.saturating_add(bytes) <= BATCH_BYTES_MAX
    }
}

impl Gatherer {
    pub(super) fn new(initiated_by: UserId) -> Self {
        Self {
            initiated_by,
            batch: Batch::default(),
            full: None,
            chain: Vec::new(),
            chain_bytes: 0,
            is_too_long: false,
        }
    }

    /// Takes a line. Afterwards a batch may be full.
    pub(super) fn add(&mut self, line: u64, text: &[u8]) {
        let (link, is_linked) = Link::read(line, text, self.initiated_by);
        if self.is_too_long {
            self.refuse_too_long(link);
        } else {
            self.chain.push(link);
            self.chain_bytes = self.chain_bytes.saturating_add(text.len());
            let is_full = self.chain.len() >= BATCH_LINES_MAX || self.chain_bytes > BATCH_BYTES_MAX;
            if is_linked && is_full || self.chain_bytes > BATCH_BYTES_MAX {
                self.is_too_long = true;
                let links = std::mem::take(&mut self.chain);
                links.into_iter().for_each(|link| self.refuse_too_long(link));
            }
        }
        if !is_linked {
            self.end_chain();
        }
    }

    /// There are no more lines.
    pub(super) fn end(&mut self) {
        if let Some(last) = self.chain.last_mut() {
            last.content = Err("/linked the last one has no next".to_owned());
        }
        self.end_chain();
    }

    /// Whether a batch has to go out before the next line is taken.
    pub(super) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// Whether there is something to send.
    pub(super) fn has_batch(&self) -> bool {
        self.is_full() || !self.batch.slots.is_empty()
    }

    /// What to send next.
    pub(super) fn take(&mut self) -> Batch {
        self.full.take().unwrap_or_else(|| std::mem::take(&mut self.batch))
    }

    /// The first line of a chain that has not ended.
    pub(super) fn first_of_chain(&self) -> Option<u64> {
        self.chain.first().map(|link| link.line)
    }

    fn end_chain(&mut self) {
        let links = std::mem::take(&mut self.chain);
        let bytes = std::mem::take(&mut self.chain_bytes);
        self.is_too_long = false;
        if links.is_empty() {
            return;
        }
        self.make_room(links.len(), bytes);
        let faulty = links.iter().find(|link| link.content.is_err()).map(|link| link.line);
        let mut chain = Vec::with_capacity(links.len());
        for Link { line, id, content } in links {
            let slot = match (content, faulty) {
                (Err(detail), _) => Slot::Refused(ResultLine::invalid(line, id, detail)),
                (Ok(_), Some(faulty)) => Slot::Refused(ResultLine::linked(line, id, faulty)),
                (Ok(new), None) => {
                    let id = new.id.0;
                    chain.push(new);
                    Slot::Waiting { line, id }
                }
            };
            self.batch.slots.push(slot);
        }
        if !chain.is_empty() {
            self.batch.chains.push(chain);
        }
    }

    fn refuse_too_long(&mut self, link: Link) {
        self.make_room(1, 0);
        let detail = match link.content {
            Ok(_) => "/linked a chain has at most 1000 lines and 4 MiB".to_owned(),
            Err(detail) => detail,
        };
        let result = ResultLine::invalid(link.line, link.id, detail);
        self.batch.slots.push(Slot::Refused(result));
    }

    fn make_room(&mut self, lines: usize, bytes: usize) {
        if !self.batch.has_room_for(lines, bytes) {
            self.full = Some(std::mem::take(&mut self.batch));
        }
        self.batch.bytes = self.batch.bytes.saturating_add(bytes);
    }
}

impl Link {
    /// Reads a line, and whether it is linked with the next.
    fn read(line: u64, text: &[u8], initiated_by: UserId) -> (Self, bool) {
        match parse_json::<PostTransactionBody>(text) {
            Ok(body) => {
                let is_linked = body.is_linked();
                let id = body.id();
                let content = match id {
                    Some(id) => Ok(body.into_new(id, initiated_by)),
                    None => {
                        Err("/id is needed: it makes it safe to send the line again".to_owned())
                    }
                };
                (Self { line, id, content }, is_linked)
            }
            Err(problem) => {
                // Whatever is wrong with it, a line that says so is not torn from the next.
                let outline = serde_json::from_slice::<Value>(text).unwrap_or_default();
                let is_linked = outline["linked"] == true;
                let id = outline["id"].as_str().and_then(|id| id.parse().ok());
                (Self { line, id, content: Err(problem.explanation()) }, is_linked)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(id: u128, linked: bool, padding: usize) -> Vec<u8> {
        let leg = |direction| {
            json!({"accountId": Uuid::nil(), "direction": direction, "amountMinorUnits": 1,
                   "currencyCode": "MAD"})
        };
        let id = Uuid::from_u128(id);
        let legs = [leg("debit"), leg("credit")];
        let mut text = json!({"id": id, "kind": "k", "legs": legs, "linked": linked}).to_string();
        text.push_str(&" ".repeat(padding));
        text.into_bytes()
    }

    /// The sizes of the batches and of the chains in each.
    fn gathered(lines: impl Iterator<Item = Vec<u8>>) -> Vec<(usize, Vec<usize>)> {
        let mut gatherer = Gatherer::new(UserId(Uuid::nil()));
        let mut batches = Vec::new();
        for (line, text) in (1..).zip(lines) {
            gatherer.add(line, &text);
            if gatherer.is_full() {
                batches.push(gatherer.take());
            }
        }
        gatherer.end();
        while gatherer.has_batch() {
            batches.push(gatherer.take());
        }
        let slots = batches.iter().flat_map(|batch| &batch.slots);
        assert!((1..).zip(slots).all(|(line, slot)| slot.line() == line), "in order, each once");
        let sizes = |batch: &Batch| batch.chains.iter().map(Vec::len).collect();
        batches.iter().map(|batch| (batch.slots.len(), sizes(batch))).collect()
    }

    #[test]
    fn a_batch_has_a_thousand_lines_and_no_chain_is_cut() {
        let singles = gathered((0..2_500).map(|id| text(id, false, 0)));
        let sizes: Vec<usize> = singles.iter().map(|(lines, _)| *lines).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        // A chain of three at the end of a batch goes to the next.
        let linked = gathered((0..1_002).map(|id| text(id, (999..1_001).contains(&id), 0)));
        assert_eq!((linked[0].0, linked[1].1.clone()), (999, vec![3]));
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_too() {
        let batches = gathered((0..10).map(|id| text(id, false, 1_000_000)));
        assert!(batches.iter().all(|(lines, _)| *lines <= 4), "{batches:?}");
    }

    #[test]
    fn a_chain_that_is_too_long_is_refused_whole() {
        let longest = gathered((0..1_000).map(|id| text(id, id < 999, 0)));
        assert_eq!(longest, [(1_000, vec![1_000])]);
        let too_long = gathered((0..1_500).map(|id| text(id, id < 1_400, 0)));
        let chains: Vec<usize> = too_long.iter().flat_map(|(_, chains)| chains.clone()).collect();
        assert_eq!(chains, [1; 99]);
        let too_large = gathered((0..8).map(|id| text(id, id < 6, 1_000_000)));
        let chains: Vec<usize> = too_large.iter().flat_map(|(_, chains)| chains.clone()).collect();
        assert_eq!(chains, [1]);
    }

    #[test]
    fn a_fault_refuses_its_chain_and_nothing_else() {
        let faulty = |at: u128| {
            let lines = (0..6).map(move |id| match id == at {
                true => b"{\"linked\": true}".to_vec(),
                false => text(id, (1..4).contains(&id), 0),
            });
            gathered(lines)
        };
        // Lines 1 to 4 are a chain.
        assert_eq!(faulty(9), [(6, vec![1, 4, 1])]);
        assert_eq!(faulty(2), [(6, vec![1, 1])]);
        // The last of a chain claims to be linked with the next.
        assert_eq!(faulty(4), [(6, vec![1])]);
        for linked in [r#"{"linked": true}"#, r#"{"id": "x", "linked": true}"#] {
            let lines = [linked.as_bytes().to_vec(), text(1, false, 0), text(2, false, 0)];
            assert_eq!(gathered(lines.into_iter()), [(3, vec![1])], "{linked}");
        }
        // The last of all has no next.
        assert_eq!(faulty(5), [(6, vec![1, 4])]);
    }
}
