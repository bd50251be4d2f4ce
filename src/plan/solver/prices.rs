//! What a unit of each resource of each agent is worth: multipliers of the capacities, found by subgradient steps. They bound the value
//! from below and tell a search which cheap places are really dear.

use super::instance::Instance;

/// Prices and what they prove.
#[derive(Debug, Clone)]
pub struct Prices {
    /// By agent and resource.
    pub of: Vec<f64>,
    /// No answer has a lower value.
    pub bound: f64,
}

/// The price of putting an item there at those prices of resources.
pub fn reduced(instance: &Instance, prices: &[f64], item: usize, agent: usize) -> f64 {
    let resources = instance.resources();
    let mut cost = instance.cost(item, agent) as f64;
    for (demand, price) in instance.demand(item, agent).iter().zip(&prices[agent * resources..]) {
        cost += *demand as f64 * price;
    }
    cost
}

/// Steps towards the best prices.
pub fn prices(instance: &Instance, rounds: u32) -> Prices {
    let (items, agents, resources) = (instance.items(), instance.agents(), instance.resources());
    let mut prices = vec![0.0_f64; agents * resources];
    let mut best = Prices {
        of: prices.clone(),
        bound: f64::NEG_INFINITY,
    };
    let mut load = vec![0.0_f64; agents * resources];
    let (mut step, mut stuck) = (1.6_f64, 0);
    let mut smooth = vec![0.0_f64; agents * resources];
    for _ in 0..rounds {
        let mut bound = 0.0;
        load.fill(0.0);
        for item in 0..items {
            let mut least = (instance.left_out(item) as f64, usize::MAX);
            for agent in instance.candidates(item) {
                let cost = reduced(instance, &prices, item, *agent as usize);
                if cost < least.0 {
                    least = (cost, *agent as usize);
                }
            }
            bound += least.0;
            if least.1 != usize::MAX {
                let from = least.1 * resources;
                for (load, demand) in load[from..].iter_mut().zip(instance.demand(item, least.1)) {
                    *load += *demand as f64;
                }
            }
        }
        let mut norm = 0.0;
        for agent in 0..agents {
            let from = agent * resources;
            let worth: f64 = instance
                .capacity(agent)
                .iter()
                .zip(&prices[from..])
                .map(|(capacity, price)| *capacity as f64 * price)
                .sum();
            // An agent is opened only if its capacity is worth more than that costs.
            let net = instance.open(agent) as f64 - worth;
            bound += net.min(0.0);
            for (r, capacity) in instance.capacity(agent).iter().enumerate() {
                let slope = load[from + r]
                    - if net < 0.0 || instance.open(agent) == 0 {
                        *capacity as f64
                    } else {
                        0.0
                    };
                load[from + r] = slope;
                smooth[from + r] = 0.6 * smooth[from + r] + 0.4 * slope;
                if !(slope < 0.0 && prices[from + r] <= 0.0) {
                    norm += smooth[from + r] * smooth[from + r];
                }
            }
        }
        if bound > best.bound + 1e-9 {
            best = Prices {
                of: prices.clone(),
                bound,
            };
            stuck = 0;
        } else {
            stuck += 1;
            if stuck >= 15 {
                step *= 0.7;
                stuck = 0;
                prices.clone_from(&best.of);
                smooth.fill(0.0);
                if step < 1e-4 {
                    break;
                }
                continue;
            }
        }
        if norm <= 0.0 {
            break;
        }
        // What is aimed at lies a little above the best bound known so far; the step shrinks when that is too much.
        let aim = best.bound + best.bound.abs() * 0.05 + 1.0;
        let length = step * (aim - bound).max(1.0) / norm;
        for (price, slope) in prices.iter_mut().zip(&smooth) {
            *price = (*price + length * slope).max(0.0);
        }
    }
    best
}
