//! MySQL by each version of Spin's interface, against a real MariaDB.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use dayfly_testing::{App, Certificate, MariaDb, Running};

use crate::databases::{self, run, started};
use crate::dayfly;

/// The guests and the interfaces that each has.
const GUESTS: &[(&str, &str)] = &[
    ("rust-interfaces", "mysql1"),
    ("rust-spin-3", "mysql2"),
    ("rust-spin-5", "mysql2"),
    ("rust-spin-6", "mysql2"),
    ("rust-spin-7", "mysql3"),
];

async fn start(guest: &str, mariadb: &MariaDb) -> (App, Running) {
    started(guest, &mariadb.grant(), "").await
}

/// A parameter, the type of the column that it goes through, and what comes back.
const TYPES: &[(&str, &str, &str, &str)] = &[
    ("boolean true", "BOOLEAN", "Int8", "Int8(1)"),
    ("int8 -128", "TINYINT", "Int8", "Int8(-128)"),
    ("uint8 255", "TINYINT UNSIGNED", "Uint8", "Uint8(255)"),
    ("int16 -32768", "SMALLINT", "Int16", "Int16(-32768)"),
    ("uint16 65535", "SMALLINT UNSIGNED", "Uint16", "Uint16(65535)"),
    ("int32 -8388608", "MEDIUMINT", "Int32", "Int32(-8388608)"),
    ("uint32 16777215", "MEDIUMINT UNSIGNED", "Uint32", "Uint32(16777215)"),
    ("int32 -2147483648", "INT", "Int32", "Int32(-2147483648)"),
    ("uint32 4294967295", "INT UNSIGNED", "Uint32", "Uint32(4294967295)"),
    ("int64 -9223372036854775808", "BIGINT", "Int64", "Int64(-9223372036854775808)"),
    ("uint64 18446744073709551615", "BIGINT UNSIGNED", "Uint64", "Uint64(18446744073709551615)"),
    ("floating32 1.5", "FLOAT", "Floating32", "Floating32(1.5)"),
    ("floating64 0.30000000000000004", "DOUBLE", "Floating64", "Floating64(0.30000000000000004)"),
    ("uint16 2024", "YEAR", "Uint16", "Uint16(2024)"),
    ("str grüße 🦋 'quoted'", "VARCHAR(40)", "Str", "Str(\"grüße 🦋 'quoted'\")"),
    ("str a", "CHAR(3)", "Str", "Str(\"a\")"),
    ("str a", "VARCHAR(9) COLLATE utf8mb4_bin", "Str", "Str(\"a\")"),
    ("str text", "TEXT", "Str", "Str(\"text\")"),
    ("str text", "LONGTEXT", "Str", "Str(\"text\")"),
    ("str two", "ENUM('one', 'two')", "Str", "Str(\"two\")"),
    ("str one,two", "SET('one', 'two')", "Str", "Str(\"one,two\")"),
    ("str {\"a\": 1}", "JSON", "Str", "Str(\"{\\\"a\\\": 1}\")"),
    ("binary 00ff41", "BLOB", "Binary", "Binary([0, 255, 65])"),
    ("binary 00ff41", "LONGBLOB", "Binary", "Binary([0, 255, 65])"),
    ("binary 00ff41", "VARBINARY(9)", "Binary", "Binary([0, 255, 65])"),
    ("binary 00ff41", "BINARY(4)", "Binary", "Binary([0, 255, 65, 0])"),
    ("int8 5", "BIT(4)", "Binary", "Binary([5])"),
    // What the interface has no types for comes as text.
    (
        "str -12345678901234567890.50",
        "DECIMAL(30, 2)",
        "Other",
        "Str(\"-12345678901234567890.50\")",
    ),
    ("str 2024-02-29", "DATE", "Other", "Str(\"2024-02-29\")"),
    ("str -100:02:03", "TIME", "Other", "Str(\"-100:02:03\")"),
    ("str 2024-02-29 01:02:03.5", "DATETIME(3)", "Other", "Str(\"2024-02-29 01:02:03.500000\")"),
    ("str 2024-02-29 01:02:03", "TIMESTAMP", "Other", "Str(\"2024-02-29 01:02:03\")"),
    ("null", "INT", "Int32", "DbNull"),
    ("null", "TEXT", "Str", "DbNull"),
    ("null", "DATE", "Other", "DbNull"),
];

#[tokio::test]
async fn every_type_by_every_version() {
    let mariadb = MariaDb::start().await;
    for (guest, interface) in GUESTS {
        let (_app, server) = start(guest, &mariadb).await;
        let mut script = format!("open {}\n", mariadb.url());
        for (index, (parameter, sql_type, ..)) in TYPES.iter().enumerate() {
            script += &format!(
                "execute CREATE OR REPLACE TABLE t{index} (v {sql_type} NULL)\n\
                 param {parameter}\nexecute INSERT INTO t{index} VALUES (?)\n\
                 query SELECT v FROM t{index}\n"
            );
        }
        let lines = run(&server, interface, &script).await;
        let lines = &lines[usize::from(lines[0] == "opened")..];
        assert_eq!(lines.len(), 4 * TYPES.len(), "{lines:#?}");
        for (answer, (parameter, sql_type, ty, value)) in lines.chunks(4).zip(TYPES) {
            let expected =
                ["()".to_owned(), "()".to_owned(), format!("columns v {ty}"), (*value).to_owned()];
            assert_eq!(answer, expected, "{interface}: {parameter} as {sql_type}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn tables_and_errors_by_every_version() {
    let mariadb = MariaDb::start().await;
    for (guest, interface) in GUESTS {
        let (_app, server) = start(guest, &mariadb).await;
        let script = format!(
            "open {}\n\
             execute CREATE OR REPLACE TABLE t (id int PRIMARY KEY, name text)\n\
             param int32 1\nparam str one\nexecute INSERT INTO t VALUES (?, ?)\n\
             param int32 1\nparam str more\nexecute INSERT INTO t SELECT seq + ?, ? FROM seq_1_to_4\n\
             query SELECT id, name FROM t WHERE id < 3 ORDER BY id\n\
             query SELECT id FROM t WHERE id > 9\n\
             execute DELETE FROM t WHERE id > 1\n\
             execute INSERT INTO t VALUES (1, 'again')\n\
             param int32 1\nexecute SELECT 1\n\
             query SELEKT\n\
             query DELETE FROM t\n\
             query SELECT 1 AS one\n",
            mariadb.url()
        );
        let lines = run(&server, interface, &script).await;
        let text = lines.join("\n");
        let expected = [
            "opened",
            "()",
            "()",
            "()",
            "columns id Int32, name Str",
            "Int32(1) Str(\"one\")",
            "Int32(2) Str(\"more\")",
            "columns id Int32",
            "()",
        ];
        assert_eq!(lines[..9], expected, "{interface}: {text}");
        assert!(lines[9].contains("QueryFailed") && lines[9].contains("Duplicate entry"), "{text}");
        assert!(lines[10].contains("BadParameter"), "{text}");
        assert!(lines[11].contains("QueryFailed") && lines[11].contains("syntax"), "{text}");
        assert_eq!(lines[12..], ["columns ", "columns one Int32", "Int32(1)"], "{text}");
        server.stop().await;
    }
}

#[tokio::test]
async fn procedures_and_long_values() {
    let mariadb = MariaDb::start().await;
    let (_app, server) = start("rust-spin-3", &mariadb).await;
    let script = format!(
        "open {}\n\
         execute CREATE PROCEDURE p() BEGIN SELECT 1 AS a; SELECT 2 AS b; DO 0; END\n\
         query CALL p()\n\
         execute CALL p()\n\
         execute SET max_statement_time = 60\n\
         execute CREATE TABLE t (v LONGTEXT)\n\
         param long 3000000\nexecute INSERT INTO t VALUES (?)\n\
         query SELECT length(v) AS l FROM t\n\
         query SELECT repeat('x', 300) AS v\n",
        mariadb.url()
    );
    let lines = run(&server, "mysql2", &script).await;
    assert_eq!(lines[..4], ["opened", "()", "columns a Int32", "Int32(1)"]);
    assert_eq!(lines[4..8], ["()"; 4]);
    assert_eq!(lines[8..10], ["columns l Int32", "Int32(3000000)"]);
    assert_eq!(lines[11], format!("Str({:?})", "x".repeat(300)));
    server.stop().await;
}

#[tokio::test]
async fn streams_of_version_3() {
    let mariadb = MariaDb::start().await;
    let (_app, server) =
        started("rust-spin-7", &mariadb.grant(), "limits = { cpu = \"60s\" }").await;
    let numbers = "SELECT seq, repeat('x', 2000) AS text FROM seq_1_to_40000";
    let script = format!(
        "open {0}\n\
         count {numbers}\n\
         first {numbers}\n\
         query SELECT 1 AS one\n\
         open {0}\n\
         query SELECT 1 AS one\n\
         together 20 DO SLEEP(0.01)\n\
         count SELECT if(seq < 4, seq, (SELECT seq FROM seq_1_to_2)) AS n FROM seq_1_to_9\n\
         query SELECT 2 AS two\n",
        mariadb.url()
    );
    let before = server.process().resident_bytes();
    let lines = run(&server, "mysql3", &script).await;
    let text = lines.join("\n");
    let row = "Uint64(1) Str(\"xxx";
    assert!(lines[2].starts_with(row) && lines[5].starts_with(row), "{text}");
    assert_eq!(lines[3], "40000 rows", "{text}");
    // What was left cannot be taken up again, and nothing of it is mistaken for an answer.
    assert!(lines[6].contains("left in the middle"), "{text}");
    assert_eq!(lines[7..11], ["opened", "columns one Int32", "Int32(1)", "20 done"], "{text}");
    assert!(lines[11..].iter().any(|line| line.contains("more than 1 row")), "{text}");
    assert_eq!(lines[lines.len() - 2..], ["columns two Int32", "Int32(2)"], "{text}");
    let grown = server.process().resident_bytes().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more for a result of 80 MB that streams");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let mariadb = MariaDb::start().await;
    let port = mariadb.port();
    let grants = [
        "mysql://127.0.0.1:1".to_owned(),
        format!("mysql://localhost:{port}"),
        format!("postgres://127.0.0.1:{port}"),
        format!("mysql://*:{port}"),
    ];
    for grant in &grants {
        for (guest, interface) in GUESTS {
            let (_app, server) = started(guest, grant, "").await;
            let script = format!("open {}\nquery SELECT 1\nexecute DO 0\n", mariadb.url());
            let lines = run(&server, interface, &script).await;
            let refused = lines.iter().filter(|line| line.contains("ConnectionFailed")).count();
            assert_eq!(refused, if *interface == "mysql1" { 2 } else { 1 }, "{lines:#?}");
            assert!(!lines.iter().any(|line| line.contains("Int32")), "{lines:#?}");
            server.stop().await;
        }
    }
    let (_app, server) = start("rust-spin-3", &mariadb).await;
    for address in [
        format!("mysql://tester:opensesame@127.0.0.1:{port}/test?socket=/tmp/x"),
        format!("mysql://tester:opensesame@localhost:{port}/test"),
        "mysql://tester:opensesame@127.0.0.1/test".to_owned(),
        "mysql://tester:opensesame@/test".to_owned(),
        format!("postgres://tester:opensesame@127.0.0.1:{port}/test"),
        "nonsense".to_owned(),
    ] {
        let lines = run(&server, "mysql2", &format!("open {address}\n")).await;
        assert!(lines[0].contains("ConnectionFailed"), "{address}: {lines:?}");
        assert!(!lines[0].contains("opensesame"), "{lines:?}");
    }
    let wrong = mariadb.url().replace("opensesame", "wrongsecret");
    let lines = run(&server, "mysql2", &format!("open {wrong}\n")).await;
    assert!(lines[0].contains("Access denied"), "{lines:?}");
    // A file of this machine, which the server asks the client for.
    let script = format!(
        "open {}\nexecute CREATE TABLE t (v text)\n\
         execute LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t\nquery SELECT v FROM t\n",
        mariadb.url()
    );
    let lines = run(&server, "mysql2", &script).await;
    assert!(lines[2].contains("QueryFailed"), "{lines:?}");
    assert!(!lines.join("\n").contains("root:"), "{lines:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_request_finds_nothing_of_another_in_its_session() {
    let mariadb = MariaDb::start().await;
    let (_app, server) = start("rust-spin-3", &mariadb).await;
    let url = mariadb.url();
    run(
        &server,
        "mysql2",
        &format!(
            "open {url}\nexecute CREATE TABLE t (n int)\nexecute CREATE ROLE other\n\
             execute CREATE DATABASE elsewhere\n"
        ),
    )
    .await;
    let leaves = [
        "execute BEGIN\nexecute INSERT INTO t VALUES (1)\n",
        "execute SET autocommit = 0\nexecute INSERT INTO t VALUES (1)\n",
        "execute CREATE TEMPORARY TABLE mine (n int)\n",
        "execute SET @mine = 1\n",
        "execute USE elsewhere\n",
        "execute SET ROLE other\n",
        "execute SET NAMES latin1\n",
        "execute SET sql_mode = 'ANSI_QUOTES'\n",
        "execute LOCK TABLES t WRITE\n",
        "query SELECT GET_LOCK('mine', 0)\n",
        "execute PREPARE mine FROM 'SELECT 1'\n",
        "query SELEKT\n",
    ];
    let looks = "query SELECT database() <=> 'test' AS a, @mine AS b, @@autocommit AS c, \
         current_role() AS d, @@character_set_client AS e, @@sql_mode LIKE '%ANSI%' AS f, \
         is_free_lock('mine') AS g, (SELECT count(*) FROM t) AS h\n\
         query SELECT * FROM mine\nexecute EXECUTE mine\n";
    for leave in leaves {
        run(&server, "mysql2", &format!("open {url}\n{leave}")).await;
        for _ in 0..2 {
            let lines = run(&server, "mysql2", &format!("open {url}\n{looks}")).await;
            let clean =
                "Int32(1) DbNull Int64(1) DbNull Str(\"utf8mb4\") Int32(0) Int32(1) Int64(0)";
            assert_eq!(lines[2], clean, "after {leave}: {lines:#?}");
            assert!(lines[3].contains("doesn't exist"), "{lines:#?}");
            assert!(lines[4].contains("Unknown prepared statement"), "{lines:#?}");
        }
    }
    // An address without a database is one without a database again.
    let nowhere = url.strip_suffix("/test").unwrap().to_owned();
    run(&server, "mysql2", &format!("open {nowhere}\nexecute USE elsewhere\n")).await;
    for _ in 0..2 {
        let script = format!("open {nowhere}\nquery SELECT database() AS d\n");
        assert_eq!(run(&server, "mysql2", &script).await[2], "DbNull");
    }
    server.stop().await;
}

#[tokio::test]
async fn sessions_are_kept_for_a_while() {
    let mariadb = MariaDb::start().await;
    let (_app, server) = start("rust-spin-3", &mariadb).await;
    let ask = format!("open {}\nquery SELECT connection_id() AS id\n", mariadb.url());
    let first = run(&server, "mysql2", &ask).await[2].clone();
    for _ in 0..5 {
        // It is there again when it has been made as good as new.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(run(&server, "mysql2", &ask).await[2], first);
    }
    let held = format!("open {0}\nopen {0}\nquery SELECT connection_id() AS id\n", mariadb.url());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = run(&server, "mysql2", &held).await[3].clone();
    assert_ne!(second, first, "one that is in use");
    // Longer than an unused session is kept; to look for its end would be to use one.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let later = run(&server, "mysql2", &ask).await[2].clone();
    assert!(later != first && later != second, "unused sessions stay");
    server.stop().await;
}

#[tokio::test]
async fn what_a_gone_request_asked_is_killed() {
    let mariadb = MariaDb::start().await;
    let (_app, server) =
        started("rust-spin-3", &mariadb.grant(), "limits = { time = \"500ms\" }").await;
    let script = format!("open {}\nquery SELECT SLEEP(60)\n", mariadb.url());
    assert_eq!(server.post("/db/mysql2", script).await.status, 504);
    let look = format!(
        "open {}\nquery SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(60)'\n",
        mariadb.url()
    );
    let begun = Instant::now();
    while run(&server, "mysql2", &look).await[2] != "Int64(0)" {
        assert!(begun.elapsed() < Duration::from_secs(5), "the server still works on it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back() {
    let mut mariadb = MariaDb::start().await;
    let (_app, server) = start("rust-spin-3", &mariadb).await;
    databases::is_killed_and_comes_back(&server, "mysql2", &mut mariadb).await;
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_by_every_version() {
    let mariadb = MariaDb::start().await;
    databases::one_connection_too_many(GUESTS, &mariadb.grant(), &mariadb.url()).await;
}

#[tokio::test]
async fn results_and_connections_are_bounded() {
    let mariadb = MariaDb::start().await;
    let limits = "limits = { outbound = 3 }";
    let (_app, server) = started("rust-spin-3", &mariadb.grant(), limits).await;
    let many = |rows: u32| format!("SELECT seq FROM seq_1_to_{rows}");
    let long = "SELECT repeat('x', 1000000) FROM seq_1_to_100";
    databases::is_bounded(&server, "mysql2", &mariadb.url(), (many, long)).await;
    server.stop().await;
}

#[tokio::test]
async fn tls_and_whom_it_trusts() {
    let certificate = Certificate::new();
    let mariadb = MariaDb::start_tls(&certificate).await;
    let plain = MariaDb::start().await;
    let grants = format!("{}\", \"{}", mariadb.grant(), plain.grant());
    let app = App::granted("rust-spin-3", &format!("allowed_outbound_hosts = [\"{grants}\"]"));
    let authority = certificate.authority();
    let trusting = dayfly().env("SSL_CERT_FILE", &authority).up(app.folder()).await;
    let server = dayfly().up(app.folder()).await;
    let secure = "query SHOW STATUS LIKE 'Ssl_version'\n";
    let opened = async |server: &Running, url: String, mode: &str| {
        let script = format!("open {url}?ssl-mode={mode}\n{secure}");
        let mut lines = run(server, "mysql2", &script).await;
        lines.pop().unwrap()
    };
    for (server, url, mode, answer) in [
        (&server, mariadb.url(), "DISABLED", "Str(\"\")"),
        (&server, mariadb.url(), "PREFERRED", "TLSv1.3"),
        (&server, plain.url(), "PREFERRED", "Str(\"\")"),
        (&server, plain.url(), "REQUIRED", "does not support TLS"),
        (&server, mariadb.url(), "REQUIRED", "certificate"),
        (&trusting, mariadb.url(), "REQUIRED", "TLSv1.3"),
        (&trusting, mariadb.url(), "VERIFY_IDENTITY", "TLSv1.3"),
    ] {
        let found = opened(server, url, mode).await;
        assert!(found.contains(answer), "{mode}: {found}, not {answer}");
    }
    trusting.stop().await;
    server.stop().await;
}

/// A server of the guest's own choice: what it says costs no more than an error.
#[tokio::test]
async fn a_server_that_means_harm() {
    let mut greeting = vec![10];
    greeting
        .extend_from_slice(b"99999.99999.99999-x\0\x01\0\0\0abcdefgh\0\xFF\xF7-\x02\0\xFF\x80\x15");
    greeting.extend_from_slice(b"\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0mysql_native_password\0");
    let packet = |sequence: u8, body: &[u8]| {
        let [a, b, c, _] = (body.len() as u32).to_le_bytes();
        [&[a, b, c, sequence][..], body].concat()
    };
    let ok = packet(2, &[0, 0, 0, 2, 0, 0, 0]);
    let prepared = [packet(1, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])].concat();
    let replies = [
        // Of 2^45 columns, of none, of a packet that does not end, a file, an error without text.
        packet(1, &[0xFE, 0, 0, 0, 0, 0, 0x20, 0, 0]),
        packet(1, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        vec![0xFF, 0xFF, 0xFF, 1],
        packet(1, b"\xFB/etc/passwd"),
        packet(1, &[0xFF]),
        packet(1, &[]),
        packet(9, &[0]),
        packet(1, &[1]),
    ];
    let mut servers = Vec::new();
    for reply in replies {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = [packet(0, &greeting), ok.clone(), prepared.clone(), reply.clone()];
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            for answer in answers {
                stream.write_all(&answer).unwrap();
                if stream.read(&mut [0; 4096]).unwrap_or(0) == 0 {
                    return;
                }
            }
        });
        servers.push((port, reply, serving));
    }
    let grants: Vec<String> =
        servers.iter().map(|(port, ..)| format!("mysql://127.0.0.1:{port}")).collect();
    let (_app, server) = started("rust-spin-3", &grants.join("\", \""), "").await;
    for (port, reply, serving) in servers {
        let script = format!("open mysql://u:p@127.0.0.1:{port}/d\nquery SELECT 1\n");
        let lines = run(&server, "mysql2", &script).await;
        assert!(lines[0] == "opened" && lines[1].contains("QueryFailed"), "{reply:?}: {lines:?}");
        assert_eq!(server.text("/hello").await, "hello world");
        serving.join().unwrap();
    }
    server.stop().await;
}
