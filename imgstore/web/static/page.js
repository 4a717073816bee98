// The page begins: the token leaves the address, and the recording or the list of them is shown.

import { ask } from "./asking.js";
import { showOverview } from "./overview.js";
import { showViewer } from "./viewer.js";

const here = new URL(location.href);
if (here.searchParams.has("token")) {
  here.searchParams.delete("token"); // it is a cookie by now, and addresses are copied about
  history.replaceState(null, "", here);
}

export function trouble(text) {
  const place = document.getElementById("trouble");
  place.replaceChildren(Object.assign(document.createElement("strong"), { textContent: "This cannot be shown" }), document.createTextNode(text));
  place.hidden = false;
  document.getElementById("home").hidden = false;
  document.getElementById("loading").hidden = true;
}

async function begin() {
  const help = document.getElementById("help");
  document.getElementById("help-button").addEventListener("click", () => help.showModal());
  let wanted = here.searchParams.get("r");
  const list = ask("recordings");
  list.catch(() => {}); // told below, or not needed
  if (!wanted) wanted = (await list).at_once;
  if (wanted) await showViewer(wanted, here.searchParams.get("align") ?? "", list);
  else await showOverview(await list);
  document.getElementById("loading").hidden = true;
}

begin().catch((error) => trouble(error.message));
