//! `docs/workers.md` against the source, and its commands as they are printed.

use noetl_metrics_client::agent::AGENT_VARIABLES;
use noetl_metrics_client::settings::{VARIABLES, Variable};

use crate::readme::{blocks, run_block};
use crate::server::Server;

const PAGE: &str = include_str!("../../docs/workers.md");

fn table<S>(variables: &[Variable<S>]) -> String {
    let mut table = "| flag of `agent` | variable | value | default | what it decides |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    for variable in variables {
        table += &format!(
            "| `--{}` | `{}` | {} | `{}` | {} |\n",
            variable.key,
            variable.name(),
            variable.value_name,
            variable.default,
            variable.help
        );
    }
    table
}

#[test]
fn the_page_lists_every_variable_as_the_tables_have_it() {
    let check = |mark: &str, want: String| {
        let (_, listed) = PAGE.split_once(&format!("<!-- {mark} -->\n")).unwrap();
        let (listed, _) = listed.split_once(&format!("<!-- end of {mark} -->")).unwrap();
        assert!(listed == want, "docs/workers.md should list:\n{want}");
    };
    check("variables", table(VARIABLES));
    check("variables of the agent", table(AGENT_VARIABLES));
}

#[test]
fn the_page_names_what_the_client_says_of_itself() {
    let instruments = include_str!("../../client/src/reporter/instruments.rs");
    let names = instruments.split('"').filter(|text| text.starts_with("noetl_client_"));
    let mut count = 0;
    for name in names {
        assert!(PAGE.contains(name), "{name}");
        count += 1;
    }
    assert!(count >= 9, "the names were not found");
}

#[test]
fn the_commands_of_the_page_work_as_they_are_printed() {
    let marked: Vec<_> = blocks(PAGE).into_iter().filter(|block| block.test == "workers").collect();
    assert_eq!(marked.len(), 2, "arguments and standard input");
    for block in &marked {
        run_block(Server::shared(), block);
    }
}
