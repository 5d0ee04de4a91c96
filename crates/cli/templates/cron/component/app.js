// Each time that is due wakes a fresh instance; `ce-time` says which one.
export default {
  async fetch(event) {
    const due = event.headers.get("ce-time");
    console.log(`it is ${due}`);
    return new Response(`it is ${due}\n`);
  },
};
