//! What a command that a guest names does to the connection that it is sent on. One connection is
//! shared by all instances of a component, so that only commands may be sent on it which leave it
//! as it is and keep nobody waiting.

/// Commands that leave the connection as it is and do not wait. What is not listed, such as the
/// commands of modules, is taken for one that does not.
#[rustfmt::skip]
const SHARED: &[&str] = &[
    "append", "bitcount", "bitfield", "bitfield_ro", "bitop", "bitpos", "copy", "dbsize", "decr",
    "decrby", "del", "dump", "echo", "eval", "eval_ro", "evalsha", "evalsha_ro", "exists", "expire",
    "expireat", "expiretime", "fcall", "fcall_ro", "flushall", "flushdb", "geoadd", "geodist",
    "geohash", "geopos", "georadius", "georadius_ro", "georadiusbymember", "georadiusbymember_ro",
    "geosearch", "geosearchstore", "get", "getbit", "getdel", "getex", "getrange", "getset", "hdel",
    "hexists", "hget", "hgetall", "hincrby", "hincrbyfloat", "hkeys", "hlen", "hmget", "hmset",
    "hrandfield", "hscan", "hset", "hsetnx", "hstrlen", "hvals", "incr", "incrby", "incrbyfloat",
    "info", "keys", "lcs", "lindex", "linsert", "llen", "lmove", "lmpop", "lpop", "lpos", "lpush",
    "lpushx", "lrange", "lrem", "lset", "ltrim", "mget", "move", "mset", "msetnx", "object",
    "persist", "pexpire", "pexpireat", "pexpiretime", "pfadd", "pfcount", "pfmerge", "ping",
    "psetex", "pttl", "publish", "pubsub", "randomkey", "rename", "renamenx", "restore", "rpop",
    "rpoplpush", "rpush", "rpushx", "sadd", "scan", "scard", "sdiff", "sdiffstore", "set", "setbit",
    "setex", "setnx", "setrange", "sinter", "sintercard", "sinterstore", "sismember", "smembers",
    "smismember", "smove", "sort", "sort_ro", "spop", "spublish", "srandmember", "srem", "sscan",
    "strlen", "substr", "sunion", "sunionstore", "time", "touch", "ttl", "type", "unlink", "xack",
    "xadd", "xautoclaim", "xclaim", "xdel", "xgroup", "xinfo", "xlen", "xpending", "xrange",
    "xrevrange", "xsetid", "xtrim", "zadd", "zcard", "zcount", "zdiff", "zdiffstore", "zincrby",
    "zinter", "zintercard", "zinterstore", "zlexcount", "zmpop", "zmscore", "zpopmax", "zpopmin",
    "zrandmember", "zrange", "zrangebylex", "zrangebyscore", "zrangestore", "zrank", "zrem",
    "zremrangebylex", "zremrangebyrank", "zremrangebyscore", "zrevrange", "zrevrangebylex",
    "zrevrangebyscore", "zrevrank", "zscan", "zscore", "zunion", "zunionstore",
];

/// Commands that wait until something happens.
const WAITING: &[&str] = &[
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "wait",
    "waitaof",
    "xread",
    "xreadgroup",
];

/// Commands after which a server sends what nobody asked for, or more than one reply to each.
const LISTENING: &[&str] = &[
    "monitor",
    "psubscribe",
    "psync",
    "punsubscribe",
    "replconf",
    "ssubscribe",
    "subscribe",
    "sunsubscribe",
    "sync",
    "unsubscribe",
];

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any connection.
    Shared,
    /// A connection of its own, from now on.
    Own,
    /// The same, and time.
    Waiting,
    /// It makes the connection listen, which this client does not.
    Listens(&'static str),
    /// It changes the protocol.
    Changes(&'static str),
}

/// What a command needs that has this name and first argument.
pub(super) fn kind(name: &str, first: Option<&[u8]>) -> Kind {
    let name = name.to_ascii_lowercase();
    let find = |names: &[&'static str]| names.iter().find(|known| **known == name).copied();
    if SHARED.binary_search(&name.as_str()).is_ok() {
        return Kind::Shared;
    }
    if find(WAITING).is_some() {
        return Kind::Waiting;
    }
    if let Some(name) = find(LISTENING) {
        return Kind::Listens(name);
    }
    match name.as_str() {
        "hello" => Kind::Changes("hello"),
        "client" if first.is_some_and(|first| first.eq_ignore_ascii_case(b"reply")) => {
            Kind::Changes("client reply")
        }
        _ => Kind::Own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known_in_any_case() {
        assert!(SHARED.is_sorted());
        assert_eq!(kind("GET", None), Kind::Shared);
        assert_eq!(kind("BlPop", None), Kind::Waiting);
        assert_eq!(kind("Subscribe", None), Kind::Listens("subscribe"));
        assert_eq!(kind("client", Some(b"REPLY")), Kind::Changes("client reply"));
        for own in ["select", "multi", "auth", "client", "JSON.GET", "no such command", ""] {
            assert_eq!(kind(own, None), Kind::Own, "{own}");
        }
    }
}
