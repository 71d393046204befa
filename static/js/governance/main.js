/** Starts the governance page. */

import { start } from "../ui/connection.js";
import "./ct_governance.js";
import { follow, listen } from "./store.js";

listen();
start(() => void follow());
