# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_raftgate_global_optspecs
    string join \n h/help V/version
end

function __fish_raftgate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_raftgate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_raftgate_using_subcommand
    set -l cmd (__fish_raftgate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c raftgate -n "__fish_raftgate_needs_command" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_needs_command" -s V -l version -d 'Print version'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "run" -d 'Follow the leader and serve clients until told to stop'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "check" -d 'Check the configuration, and print it with every default filled in and secrets hidden'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "import" -d 'Print the TOML that a `haproxy.cfg` amounts to, and say on standard error what is not the same'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "status" -d 'Show who leads, what each node says, and what happened last'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "health" -d 'Exit with 0 if a running gate is ready: bound, nodes probed once, not draining. Else say why not, and exit with 1'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "sessions" -d 'List the sessions of a running gate, and the clients that wait to become one'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "drain" -d 'Send no more clients to a node; it is still probed, and its sessions drain'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "undrain" -d 'Let a drained node be the leader again'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "pin" -d 'Send clients to a node whatever it says, until `unpin`'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "unpin" -d 'Send clients to the leader again, instead of to a pinned node'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "cut" -d 'Reset every session with a node now'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "reload" -d 'Have a gate read its configuration again. Sessions stay; a mistake in it changes nothing'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "upgrade" -d 'Start the binary anew and hand over to it: no client is lost, and sessions stay with the old process until they end'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "completions" -d 'Print a script that teaches a shell to complete raftgate\'s commands and options'
complete -c raftgate -n "__fish_raftgate_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -s c -l config -d 'The configuration, TOML or a `haproxy.cfg` [default: /etc/raftgate/raftgate.toml]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -l listen -d 'Without a file: the address to listen on, such as `:443`' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -l preset -d 'Without a file: the kind of cluster: `none`, `openziti`, `vault` or `patroni`' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -l node -d 'Without a file: a node; once for each' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -l ca-file -d 'Without a file: the PEM file with the root certificates that nodes are verified by [default: the system\'s]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -l admin -d 'Where metrics, health and status are served' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -l log-format -d '`text` for people, `json` for machines' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -l log-level -d 'The least important level that is logged: `error`, `warn`, `info`, `debug` or `trace`' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c raftgate -n "__fish_raftgate_using_subcommand check" -s c -l config -d 'The configuration, TOML or a `haproxy.cfg` [default: /etc/raftgate/raftgate.toml]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand check" -l probe -d 'Instead of printing it, ask each node once: who leads, which certificates are there, until when, and whether they cover the listeners\' `public_names`. Exits with 1 if anything is wrong'
complete -c raftgate -n "__fish_raftgate_using_subcommand check" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c raftgate -n "__fish_raftgate_using_subcommand status" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand status" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand status" -l watch -d 'Go on until Ctrl-C'
complete -c raftgate -n "__fish_raftgate_using_subcommand status" -l json -d 'Print JSON, as the gate\'s /status has it'
complete -c raftgate -n "__fish_raftgate_using_subcommand status" -l check -d 'Exit with 1 if the gate is not ready, or if a cluster has no leader'
complete -c raftgate -n "__fish_raftgate_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c raftgate -n "__fish_raftgate_using_subcommand health" -l cluster -d 'It has to know this cluster\'s leader, too' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand health" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand health" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand health" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand sessions" -l cluster -d 'Sessions of this cluster alone' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand sessions" -l node -d 'Sessions with this node alone' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand sessions" -l limit -d 'List so many at most' -r
complete -c raftgate -n "__fish_raftgate_using_subcommand sessions" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand sessions" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand sessions" -l json -d 'Print JSON'
complete -c raftgate -n "__fish_raftgate_using_subcommand sessions" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand drain" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand drain" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand drain" -l force -d 'Even if it leads: clients then wait until another node does'
complete -c raftgate -n "__fish_raftgate_using_subcommand drain" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand undrain" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand undrain" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand undrain" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand pin" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand pin" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand pin" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand unpin" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand unpin" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand unpin" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand cut" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand cut" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand cut" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand reload" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand reload" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand reload" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand upgrade" -l socket -d 'The gate\'s control socket, its `admin.socket` [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock]' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand upgrade" -s c -l config -d 'The gate\'s configuration, to find its socket by; a mistake elsewhere in it does not matter' -r -F
complete -c raftgate -n "__fish_raftgate_using_subcommand upgrade" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand completions" -s h -l help -d 'Print help'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "run" -d 'Follow the leader and serve clients until told to stop'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "check" -d 'Check the configuration, and print it with every default filled in and secrets hidden'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "import" -d 'Print the TOML that a `haproxy.cfg` amounts to, and say on standard error what is not the same'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "status" -d 'Show who leads, what each node says, and what happened last'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "health" -d 'Exit with 0 if a running gate is ready: bound, nodes probed once, not draining. Else say why not, and exit with 1'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "sessions" -d 'List the sessions of a running gate, and the clients that wait to become one'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "drain" -d 'Send no more clients to a node; it is still probed, and its sessions drain'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "undrain" -d 'Let a drained node be the leader again'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "pin" -d 'Send clients to a node whatever it says, until `unpin`'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "unpin" -d 'Send clients to the leader again, instead of to a pinned node'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "cut" -d 'Reset every session with a node now'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "reload" -d 'Have a gate read its configuration again. Sessions stay; a mistake in it changes nothing'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "upgrade" -d 'Start the binary anew and hand over to it: no client is lost, and sessions stay with the old process until they end'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "completions" -d 'Print a script that teaches a shell to complete raftgate\'s commands and options'
complete -c raftgate -n "__fish_raftgate_using_subcommand help; and not __fish_seen_subcommand_from run check import status health sessions drain undrain pin unpin cut reload upgrade completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
