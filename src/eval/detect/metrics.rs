//! How good a ranking of rows is: average precision, best F1 and the volume under the precision-recall surface.
//!
//! None of them adjusts a prediction by the label: with that a random score gets over 0.8.

/// Thresholds at which a range-aware curve is read, as in the published code of VUS.
const VUS_THRESHOLDS: usize = 250;

/// Rows by falling score, the first of each run of equal scores marked by the count of rows up to its end.
fn by_falling_score(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order
}

/// Calls `point(rows flagged, true ones among them)` for each distinct threshold, the strictest first.
fn sweep(scores: &[f64], labels: &[bool], mut point: impl FnMut(usize, usize)) {
    let order = by_falling_score(scores);
    let mut hits = 0;
    for (place, row) in order.iter().enumerate() {
        hits += usize::from(labels[*row]);
        let last_of_its_score = order
            .get(place + 1)
            .is_none_or(|next| scores[*next].total_cmp(&scores[*row]).is_ne());
        if last_of_its_score {
            point(place + 1, hits);
        }
    }
}

/// Average precision by row: the sum over thresholds of precision times the recall gained. `None` without any anomaly.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let total = labels.iter().filter(|label| **label).count();
    if total == 0 || scores.len() != labels.len() {
        return None;
    }
    let (mut area, mut before) = (0.0, 0);
    sweep(scores, labels, |flagged, hits| {
        area += (hits - before) as f64 / total as f64 * hits as f64 / flagged as f64;
        before = hits;
    });
    Some(area)
}

/// The best F1 by row that any one threshold reaches. It is an oracle: the threshold is picked on the labels.
pub fn best_f1_oracle(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let total = labels.iter().filter(|label| **label).count();
    if total == 0 || scores.len() != labels.len() {
        return None;
    }
    let mut best: f64 = 0.0;
    sweep(scores, labels, |flagged, hits| {
        best = best.max(2.0 * hits as f64 / (flagged + total) as f64);
    });
    Some(best)
}

/// Runs of true labels, first and last row.
pub fn segments(labels: &[bool]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (row, label) in labels.iter().enumerate() {
        if *label {
            match found.last_mut() {
                Some(last) if last.1 + 1 == row => last.1 = row,
                _ => found.push((row, row)),
            }
        }
    }
    found
}

/// `segments` widened by half the window on both sides; those that touch become one.
fn widened(segments: &[(usize, usize)], rows: usize, window: usize) -> Vec<(usize, usize)> {
    let half = window / 2;
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (first, last) in segments {
        let (first, last) = (first.saturating_sub(half), (last + half).min(rows - 1));
        match found.last_mut() {
            // Neighbours whose margins meet share them: what lies between them is one stretch.
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => found.push((first, last)),
        }
    }
    found
}

/// Labels with ramps of `sqrt(1 - d / window)` over half a window before and after each anomaly.
fn ramped(segments: &[(usize, usize)], rows: usize, window: usize) -> Vec<f64> {
    let mut soft = vec![0.0; rows];
    for (first, last) in segments {
        soft[*first..=*last].fill(1.0);
        for d in 1..=window / 2 {
            let rise = (1.0 - d as f64 / window as f64).sqrt();
            if let Some(row) = first.checked_sub(d) {
                soft[row] += rise;
            }
            if let Some(label) = soft.get_mut(last + d) {
                *label += rise;
            }
        }
    }
    for label in &mut soft {
        *label = label.min(1.0);
    }
    soft
}

/// VUS-PR: the mean over label ramps of 0 to `window` rows of the area under the range-aware precision-recall curve.
pub fn vus_pr(scores: &[f64], labels: &[bool], window: usize) -> Option<f64> {
    let rows = scores.len();
    let truth = segments(labels);
    if truth.is_empty() || rows < 2 || rows != labels.len() {
        return None;
    }
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let mut falling = scores.to_vec();
    falling.sort_by(|a, b| b.total_cmp(a));
    let cuts: Vec<(f64, f64)> = (0..VUS_THRESHOLDS)
        .map(|step| {
            let cut = falling[step * (rows - 1) / (VUS_THRESHOLDS - 1)];
            (cut, falling.partition_point(|score| *score >= cut) as f64)
        })
        .collect();
    // The strictest threshold that flags a row; all looser ones do too.
    let flagged_from: Vec<usize> = scores
        .iter()
        .map(|score| cuts.partition_point(|(cut, _)| cut > score).min(VUS_THRESHOLDS - 1))
        .collect();
    let reach = widened(&truth, rows, window);
    let areas = (0..=window).map(|width| {
        let soft = ramped(&truth, rows, width);
        let (mut hits, mut ramps) = ([0.0; VUS_THRESHOLDS], [0.0; VUS_THRESHOLDS]);
        for row in reach.iter().flat_map(|(first, last)| *first..=*last) {
            hits[flagged_from[row]] += soft[row];
            // A true row weighs in whole at every threshold, a row of a ramp only where it is flagged.
            ramps[flagged_from[row]] += if labels[row] { 0.0 } else { soft[row] };
        }
        let mut seen = [0_usize; VUS_THRESHOLDS];
        let near = widened(&truth, rows, width);
        for (first, last) in &near {
            if let Some(strictest) = flagged_from[*first..=*last].iter().min() {
                seen[*strictest] += 1;
            }
        }
        let (mut area, mut before, mut hit, mut weight, mut found) = (0.0, 0.0, 0.0, positives, 0);
        for (step, (_, flagged)) in cuts.iter().enumerate() {
            hit += hits[step];
            weight += ramps[step];
            found += seen[step];
            let recall = f64::min(hit / f64::midpoint(positives, weight), 1.0) * found as f64 / near.len() as f64;
            area += (recall - before) * hit / flagged;
            before = recall;
        }
        area
    });
    Some(areas.sum::<f64>() / (window + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [bool; 6] = [false, true, true, false, false, true];

    #[test]
    fn a_perfect_ranking_scores_one() {
        let scores = [0.1, 0.9, 0.8, 0.2, 0.3, 0.7];
        assert_eq!(average_precision(&scores, &LABELS), Some(1.0));
        assert_eq!(best_f1_oracle(&scores, &LABELS), Some(1.0));
    }

    #[test]
    fn equal_scores_share_their_threshold() {
        assert_eq!(average_precision(&[1.0; 6], &LABELS), Some(0.5));
        let f1 = best_f1_oracle(&[1.0; 6], &LABELS).unwrap();
        assert!((f1 - 2.0 / 3.0).abs() < 1e-12);
    }

    /// By hand: flagged in the order true, false, true, true gives 1/3 (1 + 2/3 + 3/4).
    #[test]
    fn average_precision_by_hand() {
        let scores = [0.8, 0.9, 0.7, 0.1, 0.2, 0.6];
        let area = average_precision(&scores, &LABELS).unwrap();
        assert!((area - (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_said_without_an_anomaly() {
        assert_eq!(average_precision(&[0.0, 1.0], &[false, false]), None);
        assert_eq!(vus_pr(&[0.0, 1.0], &[false, false], 10), None);
    }

    /// A detector that is late by a few rows keeps most of its volume, but little of its average precision.
    #[test]
    fn the_volume_forgives_a_few_rows_of_delay() {
        let labels: Vec<bool> = (0..500).map(|row| (200..210).contains(&row)).collect();
        let late: Vec<f64> = (0..500)
            .map(|row| f64::from(u8::from((208..218).contains(&row))))
            .collect();
        let point = average_precision(&late, &labels).unwrap();
        let volume = vus_pr(&late, &labels, 100).unwrap();
        let exact = vus_pr(
            &labels.iter().map(|l| f64::from(u8::from(*l))).collect::<Vec<_>>(),
            &labels,
            100,
        )
        .unwrap();
        assert!(
            point < 0.1 && volume > 3.0 * point && exact > volume,
            "{point} {volume} {exact}"
        );
    }
}
