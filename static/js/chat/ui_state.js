/** State of the page's frame that more than one part changes. */

import { signal } from "@preact/signals-core";

/** Whether the list of sessions is open where it does not fit beside the transcript. */
export const drawerOpen = signal(false);
