//! A store on a Redis server that the operator names: keys are the server's, as Spin has it, so
//! labels that name the same server and database share them.

use redis::{Cmd, FromRedisValue, Value};

use super::{BackendError, Change, Changed, KeyPage, Pairs};
use crate::redis::client::{Client, Error};

/// Sets a key if it still has the value that was seen, or still none where there was none.
const SWAP: &str = "local now = redis.call('GET', KEYS[1]) \
    if ARGV[1] == 'none' then if now then return 0 end \
    elseif not now or now ~= ARGV[2] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[3]) return 1";

/// A store on a server.
pub(super) struct Redis(Client);

impl Redis {
    /// The store at an address; `None` if it is none. Nothing is connected yet.
    pub(super) fn new(address: &str) -> Option<Self> {
        Client::of_operator(address).ok().map(Self)
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, BackendError> {
        let reply = self.0.query(command).await.map_err(explained)?;
        T::from_redis_value(reply).map_err(|_| BackendError::Redis(Error::Type))
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        self.ask(redis::cmd("GET").arg(key)).await
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, BackendError> {
        self.ask(redis::cmd("EXISTS").arg(key)).await
    }

    /// Keys in no order; one that is stored meanwhile may be missing, and one may come twice. Those
    /// that are no text are left out.
    pub(super) async fn page(
        &self,
        from: Option<&str>,
        most: u32,
    ) -> Result<KeyPage, BackendError> {
        let from: u64 = from.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let mut scan = redis::cmd("SCAN");
        scan.arg(from).arg("COUNT").arg(most);
        let (next, keys): (u64, Vec<Vec<u8>>) = self.ask(&scan).await?;
        let keys = keys.into_iter().filter_map(|key| String::from_utf8(key).ok()).collect();
        Ok(KeyPage { keys, next: (next != 0).then(|| next.to_string()) })
    }

    pub(super) async fn get_many(&self, keys: Vec<String>) -> Result<Pairs, BackendError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values: Vec<Option<Vec<u8>>> = self.ask(redis::cmd("MGET").arg(&keys)).await?;
        Ok(keys.into_iter().zip(values).collect())
    }

    pub(super) async fn change(&self, change: Change) -> Result<Changed, BackendError> {
        match change {
            Change::Set(pairs) if pairs.is_empty() => Ok(Changed::Done),
            Change::Delete(keys) if keys.is_empty() => Ok(Changed::Done),
            Change::Set(pairs) => {
                let mut set = redis::cmd("MSET");
                for (key, value) in &pairs {
                    set.arg(key).arg(value);
                }
                self.ask::<Value>(&set).await.map(|_| Changed::Done)
            }
            Change::Delete(keys) => {
                self.ask::<Value>(redis::cmd("DEL").arg(&keys)).await.map(|_| Changed::Done)
            }
            Change::Increment(key, delta) => {
                self.ask(redis::cmd("INCRBY").arg(key).arg(delta)).await.map(Changed::Number)
            }
            Change::Swap(key, seen, new) => {
                let kind = if seen.is_some() { "some" } else { "none" };
                let mut swap = redis::cmd("EVAL");
                swap.arg(SWAP).arg(1).arg(key).arg(kind).arg(seen.unwrap_or_default()).arg(new);
                let swapped: bool = self.ask(&swap).await?;
                Ok(if swapped { Changed::Done } else { Changed::Differs })
            }
        }
    }
}

/// What the server says of a value is the guest's to know; anything else is the operator's.
fn explained(error: Error) -> BackendError {
    let text = error.to_string();
    if text.contains("not an integer") {
        BackendError::NotANumber
    } else if text.contains("overflow") {
        BackendError::Overflow
    } else {
        BackendError::Redis(error)
    }
}
