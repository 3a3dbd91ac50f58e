# Completion of saas-exporter for fish. Generated from the table of settings: UPDATE_GOLDEN=1 cargo test --test it documents
#
# For all users: /usr/share/fish/vendor_completions.d/saas-exporter.fish; for one: ~/.config/fish/completions/.

complete -c saas-exporter -f
complete -c saas-exporter -l config.file -r -F -d 'File that lists the services'
complete -c saas-exporter -l config.check -d 'Check the configuration, print what would run, and exit'
complete -c saas-exporter -l healthcheck -d 'Ask the exporter that runs in this container, or here with the same settings, for its health, and exit'
complete -c saas-exporter -l web.listen-address -x -d 'Address to listen on'
complete -c saas-exporter -l web.port -x -d 'Port to listen on at all addresses, unless --web.listen-address says otherwise'
complete -c saas-exporter -l web.enable-reload -d 'Let POST /-/reload read the configuration again, as SIGHUP does in any case'
complete -c saas-exporter -l poll.interval -x -d 'Time between two polls of a service, start to start'
complete -c saas-exporter -l poll.concurrency -x -d 'Requests to upstreams under way at once, over all services'
complete -c saas-exporter -l shard -x -d 'Which part of the services to run, counted from 0'
complete -c saas-exporter -l total-shards -x -d 'How many exporters divide the services among them'
complete -c saas-exporter -l once -d 'Poll every service once, write the text file and exit'
complete -c saas-exporter -l textfile.path -r -F -d 'Text file that --once writes, for node_exporter\'s textfile collector'
complete -c saas-exporter -l cache.dir -x -a '(__fish_complete_directories)' -d 'Folder of the cache and history files'
complete -c saas-exporter -l cache.clear -d 'Delete every cache and history file on start-up, and take nothing over from the Python exporter'
complete -c saas-exporter -l statuspage.status-scale -x -a 'binary ternary' -d 'Which numbers stand for maintenance and trouble'
complete -c saas-exporter -l statuspage.resolved-retention -x -d 'For how long resolved incidents, completed maintenances and removed components are shown with value 0'
complete -c saas-exporter -l notify.slack-webhook-url-file -r -F -d 'File that holds the Slack webhook, instead of SLACK_WEBHOOK_URL'
complete -c saas-exporter -l log.level -x -a 'error warn info debug trace' -d 'error, warn, info, debug or trace'
complete -c saas-exporter -l log.format -x -a 'text json' -d 'text or json'
complete -c saas-exporter -l debug -d 'The same as --log.level=debug'
complete -c saas-exporter -l help -d 'Print every setting and exit'
complete -c saas-exporter -l version -d 'Print version, revision, target and compiler, and exit'
