export default {
  async fetch(request) {
    const seconds = Number(new URL(request.url).search.slice(1));
    await new Promise((awake) => setTimeout(awake, seconds * 1000));
    return new Response("awake\n");
  },
};
