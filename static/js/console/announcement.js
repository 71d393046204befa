/** What the console's announcer says: only what the person did, never what streams. */

import { signal } from "@preact/signals-core";

export const announcement = signal("");
