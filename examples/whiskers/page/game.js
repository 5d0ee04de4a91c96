// The game: shows how the cat is, offers it treats, and says what it made of them and who judged.
import { BrowserCat } from "./browser.js";
import { listen, offer } from "./server.js";

const HUNGER = ["asleep", "full", "peckish", "hungry", "very hungry", "starving"];
const REPLIES = {
  purrs: "purrs",
  gobbles: "gobbles it up",
  sniffs: "sniffs at it, and waits",
  "turns-away": "turns away, and changes its mind",
  blinks: "is asleep, and opens one eye",
};
const NEWS = 5;
// How often the cat of this browser gets hungrier, in milliseconds.
const MEAL = 20_000;

const of = (id) => document.getElementById(id);
const cat = of("cat");
const buttons = [...document.querySelectorAll("[data-treat]")];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const nameOf = (treat) => buttons.find((it) => it.dataset.treat === treat).querySelector(".name").textContent.toLowerCase();

// What the server has told last, what this browser's cat is, and whose is shown.
let everybodys = JSON.parse(document.body.dataset.cat);
let own;
let place = "server";
let connected = false;
let offering = 0;
let resting;

const shown = () => (place === "browser" && own ? own.state : everybodys);

// Shows a state.
function show(state) {
  if (of("clue").textContent !== clueOf(state)) {
    of("clue").textContent = clueOf(state);
    again(of("clue"), "new");
  }
  if (+of("points").textContent < state.points) again(of("points"), "grown");
  for (const what of ["points", "streak", "clicks"]) of(what).textContent = state[what];
  of("hunger").dataset.hunger = state.hunger;
  of("hunger-word").textContent = HUNGER[state.hunger];
  for (const button of buttons) {
    button.querySelector("[data-count]").textContent = state.treats[button.dataset.treat];
  }
  if (place === "server") showFriends(state.friends);
  if (!resting) cat.dataset.mood = moodOf(state);
}

const clueOf = (state) => (state.hunger === 0 ? "Zzz …" : state.clue);
const moodOf = ({ hunger }) => (hunger === 0 ? "sleeps" : hunger >= 5 ? "starves" : "waits");

function showFriends(friends) {
  of("friends").replaceChildren(
    ...friends.map(([name, points]) => {
      const line = document.createElement("li");
      line.append(element("span", name), " ", element("b", points));
      return line;
    }),
  );
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

// Starts an animation over.
function again(element, name) {
  element.classList.remove(name);
  void element.getBoundingClientRect();
  element.classList.add(name);
}

// What the cat made of an offer: its face, and words for those who see and those who hear.
function react(told) {
  const worth = told.points ? ` +${told.points}` : "";
  of("verdict").textContent = `${capital(REPLIES[told.reply])}${worth}`;
  of("verdict").classList.toggle("good", told.taken);
  again(of("verdict"), "new");
  cat.dataset.mood = told.reply;
  clearTimeout(resting);
  resting = setTimeout(() => {
    resting = undefined;
    cat.dataset.mood = moodOf(shown());
  }, 1800);
}

function say(told) {
  const points = told.points ? `, ${told.points} points` : "";
  const whim = told.whim ? ` “${told.whim}”` : "";
  of("said").textContent = `The cat ${REPLIES[told.reply]}${points}.${whim} It says: ${clueOf(shown())}`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function answered(where, words) {
  of("answered").dataset.place = where;
  of("answered").replaceChildren(...words);
}

// A click.
async function give(button) {
  again(button, "pressed");
  setTimeout(() => button.classList.remove("pressed"), 140);
  fly(button);
  const treat = button.dataset.treat;
  if (place === "browser") return giveHere(treat, "");
  offering += 1;
  const began = performance.now();
  const answer = await offer(treat, of("name").value.trim());
  const took = performance.now() - began;
  offering -= 1;
  if (!answer) return giveHere(treat, "The server does not answer. ");
  if (answer.status !== 200) return refused(answer.error);
  light(["rust", "python"]);
  hear(answer.cat);
  react(answer.told);
  say(answer.told);
  answered("server", [element("b", "The server"), ` judged that, and answered in ${round(took)} ms.`]);
}

function giveHere(treat, why) {
  if (!own) return refused("this browser has no rules to judge by");
  if (why) move("browser");
  const began = performance.now();
  const told = own.offer(treat);
  const took = performance.now() - began;
  show(own.state);
  react(told);
  say(told);
  const words = ` judged that, in ${round(took)} ms. It counts for nobody but you.`;
  answered("browser", [why, element("b", "This browser"), words]);
}

function refused(error) {
  of("verdict").textContent = capital(String(error));
  of("verdict").classList.remove("good");
  again(of("verdict"), "new");
  of("said").textContent = String(error);
}

const round = (ms) => (ms < 10 ? ms.toFixed(1) : Math.round(ms));

// Takes in a state of the server's, unless a newer one came first.
function hear(state) {
  if (state.news < everybodys.news) return;
  everybodys = state;
  if (place === "server") show(state);
}

// The tally: what happened to the cat, whoever did it.
function told({ cat, news }) {
  const isNew = cat.news > everybodys.news;
  // The first words of a connection hold, whatever was before: it may be another cat.
  if (!connected) everybodys = cat;
  connected = true;
  hear(cat);
  if (news.length) light(["javascript"]);
  for (const event of news) report(event);
  const last = news.at(-1);
  if (last && isNew && offering === 0 && place === "server") react(last);
}

function report({ name, offered, reply, points }) {
  const words = `${name || "Somebody"}: ${nameOf(offered)} – ${REPLIES[reply].split(",")[0]}${points ? ` +${points}` : ""}`;
  of("news").prepend(element("li", words));
  while (of("news").children.length > NEWS) of("news").lastChild.remove();
}

// Lights up who had a part in something, one after the other.
function light(steps) {
  steps.forEach((step, at) => {
    const mark = document.querySelector(`[data-step="${step}"]`);
    setTimeout(() => mark.classList.add("lit"), at * 160);
    setTimeout(() => mark.classList.remove("lit"), at * 160 + 900);
  });
}

// The treat on its way.
function fly(button) {
  if (calm.matches) return;
  const drawing = button.querySelector("svg");
  const [from, to] = [drawing, cat].map((it) => it.getBoundingClientRect());
  const copy = drawing.cloneNode(true);
  copy.classList.add("flying");
  Object.assign(copy.style, { left: `${from.left}px`, top: `${from.top}px`, width: `${from.width}px` });
  document.body.append(copy);
  const x = to.left + to.width * 0.45 - from.left - from.width / 2;
  const y = to.top + to.height * 0.62 - from.top - from.height / 2;
  const steps = [
    { transform: "none" },
    { transform: `translate(${x / 2}px, ${y - 30}px) scale(1.05) rotate(-12deg)`, offset: 0.6 },
    { transform: `translate(${x}px, ${y}px) scale(.35)`, opacity: 0.2 },
  ];
  copy.animate(steps, { duration: 420, easing: "ease-out" }).finished.finally(() => copy.remove());
}

// Whose cat is shown.
function move(to) {
  place = to;
  document.body.dataset.place = to;
  document.querySelector(`[name="place"][value="${to}"]`).checked = true;
  clearTimeout(resting);
  resting = undefined;
  show(shown());
}

function choose(to) {
  chosen = to;
  move(to);
  const here = "Your next treat is judged by this browser, by the same rules.wasm, and counts for nobody but you.";
  answered("", [to === "browser" ? here : "Your next treat is judged by the server, and counts for all."]);
}
let chosen = "server";

for (const button of buttons) button.addEventListener("click", () => give(button));
for (const choice of document.querySelectorAll("[name=place]")) {
  choice.addEventListener("change", () => choose(choice.value));
}
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("#name");
  if (typing || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const button = buttons[Number(event.key) - 1];
  if (button) button.click();
});
of("name").value = localStorage.getItem("name") ?? "";
of("name").addEventListener("change", () => localStorage.setItem("name", of("name").value.trim()));

listen({
  came() {
    of("live").className = "on";
    of("live").textContent = "live";
    if (place !== chosen) move(chosen);
  },
  told,
  left() {
    connected = false;
    of("live").className = "";
    of("live").textContent = "connecting";
  },
});
show(everybodys);
light(["ruby"]);

const clues = Object.fromEntries(buttons.map(({ dataset }) => [dataset.treat, dataset.clue]));
try {
  own = await BrowserCat.make(document.body.dataset.rules, clues);
  setInterval(() => {
    own.meal();
    if (place === "browser") show(own.state);
  }, MEAL);
} catch (error) {
  document.querySelector("[value=browser]").disabled = true;
  answered("", [`This browser cannot judge: ${error.message}`]);
}
document.body.dataset.ready = "yes";
