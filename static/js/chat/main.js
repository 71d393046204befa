/** Starts the chat page. */

import "./ct_app.js";
import { resumeOutbox } from "./actions.js";
import { start } from "./store.js";

start();
resumeOutbox();
