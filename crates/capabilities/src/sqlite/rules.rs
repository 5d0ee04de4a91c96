//! What a guest's SQL may do, asked when a statement is prepared: everything to the tables of its
//! own database, nothing to files, to the process, or to what bounds it. What is not named here is
//! refused.

use rusqlite::hooks::AuthAction;

/// Pragmas that tell something, without an argument.
const TOLD: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "busy_timeout",
    "collation_list",
    "compile_options",
    "data_version",
    "encoding",
    "freelist_count",
    "function_list",
    "journal_mode",
    "max_page_count",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "schema_version",
    "synchronous",
    "temp_store",
    "user_version",
];

/// Pragmas that look at tables, or mend their statistics; an argument names one, or a number.
const ASKED: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "optimize",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Pragmas that set what is kept in the database itself, for the app's own use.
const KEPT: &[&str] = &["application_id", "user_version"];

/// Pragmas that change how the connection behaves, until it is closed.
const SWITCHES: &[&str] = &[
    "analysis_limit",
    "automatic_index",
    "defer_foreign_keys",
    "foreign_keys",
    "ignore_check_constraints",
    "legacy_alter_table",
    "query_only",
    "recursive_triggers",
    "reverse_unordered_selects",
];

/// Pragmas that apps set before anything else and that the host has decided: they change nothing.
const DECIDED: &[&str] = &["busy_timeout", "synchronous"];

/// Modules of virtual tables that a guest may create.
const MODULES: &[&str] = &["fts5", "fts5vocab", "rtree", "rtree_i32"];

/// Functions that reach beyond the database.
const FUNCTIONS: &[&str] = &["load_extension", "fts3_tokenizer"];

/// What comes of an action.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// Allowed, and something of it stays on the connection, which nobody else should get.
    Sticks,
    /// Not done, and no error.
    Ignored,
    /// An error that names it.
    Refused(String),
}

/// Judges one action of a statement.
pub(super) fn judge(action: &AuthAction<'_>) -> Verdict {
    use AuthAction as Action;
    match action {
        Action::Select
        | Action::Recursive
        | Action::Read { .. }
        | Action::Insert { .. }
        | Action::Update { .. }
        | Action::Delete { .. }
        | Action::Transaction { .. }
        | Action::Savepoint { .. }
        | Action::CreateTable { .. }
        | Action::CreateIndex { .. }
        | Action::CreateView { .. }
        | Action::CreateTrigger { .. }
        | Action::DropTable { .. }
        | Action::DropIndex { .. }
        | Action::DropView { .. }
        | Action::DropTrigger { .. }
        | Action::DropVtable { .. }
        | Action::AlterTable { .. }
        | Action::Reindex { .. }
        | Action::Analyze { .. } => Verdict::Allowed,
        Action::CreateTempTable { .. }
        | Action::CreateTempIndex { .. }
        | Action::CreateTempView { .. }
        | Action::CreateTempTrigger { .. }
        | Action::DropTempTable { .. }
        | Action::DropTempIndex { .. }
        | Action::DropTempView { .. }
        | Action::DropTempTrigger { .. } => Verdict::Sticks,
        Action::CreateVtable { module_name, .. } => {
            allowed_if(has(MODULES, module_name), || format!("virtual tables by `{module_name}`"))
        }
        Action::Function { function_name } => {
            allowed_if(!has(FUNCTIONS, function_name), || format!("`{function_name}()`"))
        }
        Action::Pragma { pragma_name, pragma_value } => pragma(pragma_name, *pragma_value),
        // `VACUUM` attaches a file of its own, too.
        Action::Attach { .. } => Verdict::Refused("`ATTACH` and `VACUUM`".to_owned()),
        Action::Detach { .. } => Verdict::Refused("`DETACH`".to_owned()),
        _ => Verdict::Refused("this kind of statement".to_owned()),
    }
}

fn pragma(name: &str, value: Option<&str>) -> Verdict {
    let Some(value) = value else {
        let told = [TOLD, ASKED, SWITCHES].iter().any(|list| has(list, name));
        return allowed_if(told, || format!("`PRAGMA {name}`"));
    };
    if has(ASKED, name) || has(KEPT, name) {
        Verdict::Allowed
    } else if has(SWITCHES, name) {
        Verdict::Sticks
    } else if has(DECIDED, name) || is_as_it_is(name, value) {
        Verdict::Ignored
    } else {
        Verdict::Refused(format!("setting `PRAGMA {name}`"))
    }
}

/// Whether a pragma asks for what is so anyway.
fn is_as_it_is(name: &str, value: &str) -> bool {
    name.eq_ignore_ascii_case("journal_mode") && value.eq_ignore_ascii_case("wal")
}

fn allowed_if(allowed: bool, what: impl FnOnce() -> String) -> Verdict {
    if allowed { Verdict::Allowed } else { Verdict::Refused(what()) }
}

fn has(list: &[&str], name: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pragma_name: &str, pragma_value: Option<&str>) -> Verdict {
        judge(&AuthAction::Pragma { pragma_name, pragma_value })
    }

    #[test]
    fn pragmas_are_refused_unless_they_are_known() {
        for (name, value) in [
            ("cache_size", None),
            ("cache_size", Some("1000000")),
            ("database_list", None),
            ("hard_heap_limit", None),
            ("incremental_vacuum", None),
            ("journal_mode", Some("delete")),
            ("journal_mode", Some("off")),
            ("locking_mode", Some("exclusive")),
            ("max_page_count", Some("4294967294")),
            ("mmap_size", Some("268435456")),
            ("page_size", Some("65536")),
            ("schema_version", Some("1")),
            ("temp_store", Some("1")),
            ("temp_store_directory", Some("/etc")),
            ("trusted_schema", Some("1")),
            ("wal_autocheckpoint", Some("0")),
            ("wal_checkpoint", None),
            ("writable_schema", Some("1")),
            ("unheard_of", None),
        ] {
            assert!(matches!(asked(name, value), Verdict::Refused(_)), "{name} {value:?}");
        }
    }

    #[test]
    fn pragmas_of_everyday_use_are_allowed() {
        assert_eq!(asked("table_info", Some("t")), Verdict::Allowed);
        assert_eq!(asked("user_version", Some("3")), Verdict::Allowed);
        assert_eq!(asked("USER_VERSION", None), Verdict::Allowed);
        assert_eq!(asked("foreign_keys", None), Verdict::Allowed);
        assert_eq!(asked("foreign_keys", Some("off")), Verdict::Sticks);
        assert_eq!(asked("journal_mode", Some("WAL")), Verdict::Ignored);
        assert_eq!(asked("busy_timeout", Some("5000")), Verdict::Ignored);
    }

    #[test]
    fn what_reaches_beyond_the_database_is_refused() {
        for action in [
            AuthAction::Attach { filename: "/etc/passwd" },
            AuthAction::Attach { filename: "" },
            AuthAction::Detach { database_name: "main" },
            AuthAction::Function { function_name: "load_extension" },
            AuthAction::Function { function_name: "fts3_tokenizer" },
            AuthAction::CreateVtable { table_name: "t", module_name: "fts3" },
            AuthAction::Unknown { code: 99, arg1: None, arg2: None },
        ] {
            assert!(matches!(judge(&action), Verdict::Refused(_)), "{action:?}");
        }
    }
}
