//! The table and the JSON.

use super::growth::Growth;
use super::measure::Measured;
use super::workloads::{Better, Row};
use serde_json::{Value, json};

/// All values of one row.
pub struct Values {
    pub name: String,
    pub row: &'static Row,
    pub ours: Vec<Measured>,
    pub theirs: Vec<Measured>,
}

/// What the other side is called.
const fn their_name(other: bool) -> &'static str {
    if other { "other" } else { "Dovecot" }
}

pub fn print_head(other: bool) {
    println!(
        "{:42} {:>11} {:>11} {:>8} {:>17} {:>8}  {:>15} {:>15} {:>11} {:>13}  unit",
        "workload",
        "restante",
        their_name(other),
        "ratio",
        "spread",
        "goal",
        "server CPU s",
        "client CPU s",
        "of a core %",
        "PSS MiB"
    );
}

pub fn print_row(values: &Values) {
    let sides = [&values.ours, &values.theirs];
    let figure = |of: fn(&Measured) -> f64| sides.map(|side| median(side.iter().map(of).collect()));
    let [ours, theirs] = figure(|m| m.value);
    let both = |of, digits| {
        let [ours, theirs]: [f64; 2] = figure(of);
        format!("{ours:.digits$}/{theirs:.digits$}")
    };
    let mut ratios = ratios(values);
    ratios.sort_by(f64::total_cmp);
    let ratio = median(ratios.clone());
    let goal = if values.row.is_absolute {
        format!("{} {}", values.row.goal, values.row.unit)
    } else {
        format!("{:.3}", values.row.goal)
    };
    let spread = format!(
        "{:.3}–{:.3}",
        ratios.first().unwrap_or(&f64::NAN),
        ratios.last().unwrap_or(&f64::NAN)
    );
    println!(
        "{:42} {ours:>11.4} {theirs:>11.4} {ratio:>8.3} {spread:>17} {goal:>7}{}  {:>15} {:>15} {:>11} {:>13}  {}",
        values.name,
        if is_reached(values) { " " } else { "!" },
        both(|m| m.server_cpu, 3),
        both(|m| m.client_cpu, 3),
        both(|m| m.client_cpu / m.seconds * 100.0, 0),
        both(|m| m.pss_kib as f64 / 1024.0, 1),
        values.row.unit
    );
}

/// Whether the row is at its goal, by medians.
fn is_reached(values: &Values) -> bool {
    let row = values.row;
    let figure = if row.is_absolute {
        median(values.ours.iter().map(|m| m.value).collect())
    } else {
        median(ratios(values))
    };
    match row.better {
        Better::Lower => figure <= row.goal,
        Better::Higher => figure >= row.goal,
    }
}

/// Microseconds by size of the mailbox.
pub fn print_growth(growth: &[Growth], other: bool) {
    let Some(first) = growth.first() else {
        return;
    };
    println!("\nmicroseconds of one small operation, by messages in the mailbox; last over first");
    print!("{:42} {:9}", "", "");
    for size in &first.sizes {
        print!(" {:>11}", size.messages);
    }
    println!(" {:>8}", "growth");
    for one in growth {
        for (who, of) in [("restante", 0), (their_name(other), 1)] {
            let row: Vec<_> = one
                .sizes
                .iter()
                .map(|size| median(size.micros[of].clone()))
                .collect();
            if row.iter().all(|micros| micros.is_nan()) {
                continue;
            }
            print!("{:42} {who:9}", if of == 0 { one.name } else { "" });
            for micros in &row {
                print!(" {micros:>11.1}");
            }
            println!(" {:>8.2}", row[row.len() - 1] / row[0]);
        }
    }
}

pub fn to_json(all: &[Values], growth: &[Growth], other: bool) -> Value {
    json!({
        "beside": their_name(other),
        "rows": all.iter().map(row_to_json).collect::<Vec<_>>(),
        "growth": growth.iter().map(growth_to_json).collect::<Vec<_>>(),
    })
}

fn row_to_json(values: &Values) -> Value {
    let side = |side: &[Measured]| {
        let one = |m: &Measured| {
            json!({
                "value": m.value, "seconds": m.seconds, "server_cpu_secs": m.server_cpu, "client_cpu_secs": m.client_cpu,
                "server_pss_kib": m.pss_kib,
            })
        };
        side.iter().map(one).collect::<Vec<_>>()
    };
    let ratios = ratios(values);
    json!({
        "workload": values.name, "unit": values.row.unit, "goal": values.row.goal, "goal_is_absolute": values.row.is_absolute,
        "reached": is_reached(values), "ratio": median(ratios.clone()), "ratios": ratios,
        "restante": side(&values.ours), "theirs": side(&values.theirs),
    })
}

fn growth_to_json(growth: &Growth) -> Value {
    let sizes = growth.sizes.iter().map(|size| {
        json!({
            "messages": size.messages, "restante_us": size.micros[0], "their_us": size.micros[1],
            "restante_median_us": median(size.micros[0].clone()), "their_median_us": median(size.micros[1].clone()),
        })
    });
    json!({ "operation": growth.name, "sizes": sizes.collect::<Vec<_>>() })
}

/// The middle one; not a number if there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn ratios(values: &Values) -> Vec<f64> {
    let pairs = values.ours.iter().zip(&values.theirs);
    pairs
        .map(|(ours, theirs)| ours.value / theirs.value)
        .collect()
}
