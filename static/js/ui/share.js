/** Small drawings of figures, as SVG: their sizes are attributes, which a strict policy on styles allows. */

import { html, nothing, svg } from "lit";

/**
 * A bar that is full at a share of 1.
 * @param {number} share
 * @param {string} label what it says, for those who don't see it; empty where words beside it say so
 */
export function shareBar(share, label) {
  const width = Math.max(0, Math.min(1, share)) * 100;
  const tone = share >= 1 ? "bad" : share >= 0.8 ? "warn" : "calm";
  return html`<svg class="share" data-tone=${tone} viewBox="0 0 100 6" preserveAspectRatio="none" role=${label ? "img" : "presentation"} aria-label=${label || nothing} aria-hidden=${label ? nothing : "true"}>
    ${svg`<rect class="share-ground" width="100" height="6"/><rect class="share-used" width=${width} height="6"/>`}
  </svg>`;
}

/**
 * A line over time, from 0 up to the highest value, the newest at the right.
 * @param {readonly number[]} values
 * @param {number} most how many fit
 * @param {string} label
 */
export function sparkline(values, most, label) {
  const top = Math.max(1, ...values);
  const left = most - values.length;
  const points = values.map((value, index) => `${left + index},${(23 - (value / top) * 22).toFixed(1)}`);
  const area = points.length ? `${left},24 ${points.join(" ")} ${most - 1},24` : "";
  return html`<svg class="spark" viewBox="0 0 ${most - 1} 24" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${svg`<polygon class="spark-area" points=${area}/><polyline class="spark-line" points=${points.join(" ")}/>`}
  </svg>`;
}
