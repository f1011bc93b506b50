//! Runs the marked blocks of `README.md`, so that what a reader pastes works.
//!
//! A block is run when an HTML comment names its test: `<!-- test: quickstart -->`, then the block
//! of `sh`. A block of `text` that follows it is what the commands print.

use std::process::Command;

use crate::server::{BINARY, Launch, Server};

/// One block of commands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The test it belongs to; blocks of one test run in their order.
    pub(crate) test: String,
    /// The commands.
    commands: String,
    /// What they print, where the page says so.
    output: Option<String>,
}

/// The blocks of `page` that are marked for tests, in their order.
///
/// # Panics
/// Where a mark is not followed by a block of `sh`, or a block is not closed.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut lines = page.lines().peekable();
    let mut found: Vec<Block> = Vec::new();
    // A block of `text` belongs to the commands before it only when nothing but prose lies between.
    let mut awaits_output = false;
    while let Some(line) = lines.next() {
        if let Some(test) = marked_test(line) {
            while lines.next_if(|line| line.is_empty()).is_some() {}
            assert_eq!(lines.next(), Some("```sh"), "{line} is not followed by a block of sh");
            let commands = block_until_fence(&mut lines);
            found.push(Block { test: test.to_owned(), commands, output: None });
            awaits_output = true;
        } else if line == "```text" && awaits_output {
            let output = block_until_fence(&mut lines);
            found.last_mut().expect("commands came before").output = Some(output);
            awaits_output = false;
        } else if line.starts_with("```") {
            block_until_fence(&mut lines);
            awaits_output = false;
        }
    }
    found
}

fn marked_test(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- test: ")?.strip_suffix(" -->")
}

fn block_until_fence<'a>(lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut block = String::new();
    for line in lines {
        if line == "```" {
            return block;
        }
        block += line;
        block.push('\n');
    }
    panic!("a block is not closed:\n{block}");
}

#[test]
fn marked_blocks_are_found_with_their_output() {
    let page = concat!(
        "# Title\n```sh\nnot marked\n```\n",
        "<!-- test: one -->\n```sh\ncurl a\ncurl b\n```\nprints\n```text\nok\n```\n",
        "```text\nunrelated\n```\n",
        "<!-- test: two -->\n\n```sh\npsql\n```\n```json\n{}\n```\n```text\nunrelated\n```\n",
    );
    let block = |test: &str, commands: &str, output: Option<&str>| Block {
        test: test.to_owned(),
        commands: commands.to_owned(),
        output: output.map(str::to_owned),
    };
    assert_eq!(
        blocks(page),
        [block("one", "curl a\ncurl b\n", Some("ok\n")), block("two", "psql\n", None)]
    );
}

#[test]
#[should_panic(expected = "is not followed by a block of sh")]
fn a_mark_without_a_block_is_a_mistake() {
    blocks("<!-- test: one -->\nprose\n");
}

#[test]
fn the_quick_start_of_the_readme_works_as_it_is_printed() {
    let page = include_str!("../../README.md");
    let quick_start: Vec<_> =
        blocks(page).into_iter().filter(|block| block.test == "quickstart").collect();
    assert!(quick_start.len() >= 4, "report, query, page and psql: {quick_start:#?}");
    let server = Launch::new().start();
    for block in &quick_start {
        run_block(&server, block);
    }
}

/// Runs the commands of a block, in the project's directory and against `server`, and compares what
/// they print with what the page says.
pub(crate) fn run_block(server: &Server, block: &Block) {
    // The page speaks of the defaults, which other servers of this machine may use.
    let data_dir = server.home().data_dir();
    let database_url = format!("{BINARY} database-url --data-dir={}", data_dir.display());
    let commands = block
        .commands
        .replace("127.0.0.1:8082", &server.address().to_string())
        .replace("target/release/noetl-metrics database-url", &database_url)
        .replace("target/release/noetl-metrics", BINARY);
    let output = Command::new("sh")
        .args(["-euc", &commands])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{commands}{said}");
    if let Some(expected) = &block.output {
        assert_eq!(String::from_utf8_lossy(&output.stdout), *expected, "{commands}");
    }
}
