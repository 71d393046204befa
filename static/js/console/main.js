/** Starts the console. */

import { start } from "../ui/connection.js";
import "./ct_console.js";
import { follow, listen } from "./store.js";

listen();
start(() => void follow());
