//! The help of what sends events, and looks after those that wait.

use super::help;

#[tokio::test]
async fn queue() {
    insta::assert_snapshot!(help("queue").await, @r##"
    Look into the queues that Dayfly keeps for an app, and put messages into them

    Usage: dayfly queue <COMMAND>

    Commands:
      send   Put a message into a queue
      list   List the queues that have messages
      show   Show the first messages of a queue; they stay there
      purge  Forget all messages of a queue that are not being handled

    Options:
      -h, --help  Print help

    Example:
      dayfly queue send mail '{"to": "someone"}' --delay 10s
      dayfly queue list
    "##);
}

#[tokio::test]
async fn dead_letters() {
    insta::assert_snapshot!(help("dead-letters").await, @r##"
    List events that were given up, and let them be delivered again

    Usage: dayfly dead-letters <COMMAND>

    Commands:
      list    List them: number, time, trigger, component, attempts, the last error
      show    Print the data of one
      replay  Deliver some again: by the app that runs, or by the next that does
      drop    Forget some

    Options:
      -h, --help  Print help

    Example:
      dayfly dead-letters list
      dayfly dead-letters replay 3 4
    "##);
}

#[tokio::test]
async fn send() {
    insta::assert_snapshot!(help("send").await, @r##"
    Send an event to a trigger of an app that runs, and print what its handler answers

    It looks as those of the trigger do, and goes the same way: it is tried again if it fails, its
    answer goes to the trigger's output, and it is a dead letter in the end. To a route it is a POST in
    the binary mode of CloudEvents, and the answer is the route's.

    Usage: dayfly send [OPTIONS] <TRIGGER> [DATA]

    Arguments:
      <TRIGGER>
              The trigger's id, or the component that it wakes

      [DATA]
              The event's data: a text, `@FILE`, or `-` for standard input

              [default: ""]

    Options:
          --type <TYPE>
              What has happened [default: what the trigger says]

          --subject <SUBJECT>
              What it is about: a channel, a topic, a key [default: what the trigger says]

          --attribute <NAME=VALUE>
              A further attribute; may be repeated

          --content-type <TYPE>
              The media type of the data

          --path <PATH>
              Of a route that covers several: the path to send to

          --plain
              Send the data alone to a route, without the event's headers

          --timeout <DURATION>
              How long to wait for the handler

              [default: 60s]

          --json
              Print what became of it as JSON

      -f, --from <PATH>
              The app: its folder or its manifest

              [default: .]

          --state-dir <DIR>
              The app's folder for what it keeps [default: `.dayfly` beside the manifest]

              [env: DAYFLY_STATE_DIR=]

      -h, --help
              Print help (see a summary with '-h')

    Example:
      dayfly send thumbnail @picture.png --content-type image/png
      dayfly send orders '{"id": 7}' --subject orders/new --attribute customer=1
      dayfly send shop --path /carts/7 '{"item": 1}' --content-type application/json
    "##);
}
