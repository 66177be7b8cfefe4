use super::entity::{Action, ActionState, StaffAction};
use aws_lc_rs::digest::{SHA256, digest};
use kernel::{PageLimit, Timestamp, UserId};
use serde_json::{Value, json};
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    kind: String,
    body: String,
    reason: String,
    requested_by: Uuid,
    requested_at: i64,
    expires_at: i64,
    state: String,
    decided_by: Option<Uuid>,
    decided_at: Option<i64>,
    decision_reason: Option<String>,
}

impl TryFrom<Row> for StaffAction {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let unreadable = |column| StoreError::inconsistent("staff_actions", column, row.id);
        let body: Value = serde_json::from_str(&row.body).map_err(|_| unreadable("body"))?;
        let action = json!({ "kind": row.kind, "body": body });
        Ok(Self {
            id: row.id,
            action: serde_json::from_value(action).map_err(|_| unreadable("body"))?,
            reason: row.reason,
            requested_by: UserId(row.requested_by),
            requested_at: Timestamp::from_micros(row.requested_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            state: ActionState::parse(&row.state).ok_or_else(|| unreadable("state"))?,
            decided_by: row.decided_by.map(UserId),
            decided_at: row.decided_at.map(Timestamp::from_micros),
            decision_reason: row.decision_reason,
        })
    }
}

/// An action's kind, body and the digest of the body, as the columns hold them.
struct Columns {
    kind: String,
    body: String,
    body_hash: Vec<u8>,
}

impl Columns {
    fn of(action: &Action) -> Self {
        // Names and texts always are JSON; an action that is not would match no row.
        let value = serde_json::to_value(action).unwrap_or_default();
        let body = value["body"].to_string();
        Self {
            kind: value["kind"].as_str().unwrap_or_default().to_owned(),
            body_hash: digest(&SHA256, body.as_bytes()).as_ref().to_vec(),
            body,
        }
    }
}

/// Ends what nobody decided in time.
pub(super) async fn expire_in_tx(
    store: &Store,
    tx: &WriteTx,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "update staff_actions set state = 'expired' where state = 'pending' and expires_at <= $1",
        [now.as_micros().into()],
    ))
    .await?;
    Ok(())
}

/// Writes down what somebody asks for; `false` if the same is pending.
pub(super) async fn insert_in_tx(
    store: &Store,
    tx: &WriteTx,
    action: &StaffAction,
) -> Result<bool, StoreError> {
    let Columns { kind, body, body_hash } = Columns::of(&action.action);
    let inserted = tx
        .execute_raw(store.statement(
            "insert into staff_actions (id, kind, body, body_hash, reason, requested_by, \
             requested_at, expires_at, state) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, 'pending') \
             on conflict (kind, body_hash) where state = 'pending' do nothing",
            [
                action.id.into(),
                kind.into(),
                body.into(),
                body_hash.into(),
                action.reason.as_str().into(),
                action.requested_by.0.into(),
                action.requested_at.as_micros().into(),
                action.expires_at.as_micros().into(),
            ],
        ))
        .await?;
    Ok(inserted.rows_affected() == 1)
}

const COLUMNS: &str = "id, kind, body, reason, requested_by, requested_at, expires_at, state, \
                       decided_by, decided_at, decision_reason";

pub(super) async fn find(store: &Store, id: Uuid) -> Result<Option<StaffAction>, StoreError> {
    let sql = format!("select {COLUMNS} from staff_actions where id = $1");
    let found = Row::find_by_statement(store.statement(&sql, [id.into()]));
    found.one(store.read()).await?.map(StaffAction::try_from).transpose()
}

/// What is pending and asks for the same.
pub(super) async fn find_pending(
    store: &Store,
    connection: &impl ConnectionTrait,
    action: &Action,
) -> Result<Option<StaffAction>, StoreError> {
    let Columns { kind, body_hash, .. } = Columns::of(action);
    let sql = format!(
        "select {COLUMNS} from staff_actions \
         where kind = $1 and body_hash = $2 and state = 'pending'"
    );
    let found = Row::find_by_statement(store.statement(&sql, [kind.into(), body_hash.into()]));
    found.one(connection).await?.map(StaffAction::try_from).transpose()
}

/// Actions, newest first: those in a state, or all. What is pending but over its time counts as
/// expired.
pub(super) async fn list(
    store: &Store,
    state: Option<ActionState>,
    now: Timestamp,
    after: Option<Uuid>,
    limit: PageLimit,
) -> Result<Vec<StaffAction>, StoreError> {
    let wanted = match state {
        None => "",
        Some(ActionState::Pending) => "and state = 'pending' and expires_at > $3",
        Some(ActionState::Approved) => "and state = 'approved'",
        Some(ActionState::Rejected) => "and state = 'rejected'",
        Some(ActionState::Expired) => {
            "and (state = 'expired' or (state = 'pending' and expires_at <= $3))"
        }
    };
    let mut binds = vec![after.unwrap_or(Uuid::max()).into(), limit.rows_to_fetch().into()];
    if wanted.contains("$3") {
        binds.push(now.as_micros().into());
    }
    let sql = format!(
        "select {COLUMNS} from staff_actions where id < $1 {wanted} order by id desc limit $2"
    );
    let rows = Row::find_by_statement(store.statement(&sql, binds));
    rows.all(store.read()).await?.into_iter().map(StaffAction::try_from).collect()
}

/// How somebody decided.
pub(super) struct Decision<'a> {
    pub(super) state: ActionState,
    pub(super) by: UserId,
    pub(super) at: Timestamp,
    pub(super) reason: Option<&'a str>,
}

/// Decides a pending action whose time is not over; `false` if somebody else was faster. The row stays
/// locked until the transaction ends.
pub(super) async fn decide_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: Uuid,
    decision: &Decision<'_>,
) -> Result<bool, StoreError> {
    let decided = tx
        .execute_raw(store.statement(
            "update staff_actions set state = $1, decided_by = $2, decided_at = $3, \
             decision_reason = $4 where id = $5 and state = 'pending' and expires_at > $3",
            [
                decision.state.as_str().into(),
                decision.by.0.into(),
                decision.at.as_micros().into(),
                decision.reason.into(),
                id.into(),
            ],
        ))
        .await?;
    Ok(decided.rows_affected() == 1)
}
