# PowerShell completion for magkit, made by: magkit completion powershell

Register-ArgumentCompleter -Native -CommandName magkit -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # Of each command: those below it; its flags; which of them a value follows.
    $nodes = @{
        'magkit' = @{
            Commands = @(
                @{ Name = 'demo'; Help = 'Render a clip with a vibration too small to see, magnify it and measure the result' }
                @{ Name = 'magnify'; Help = 'Make the motion in a clip larger' }
                @{ Name = 'pretrain'; Help = 'Train a magnifier''s encoder on frames without labels' }
                @{ Name = 'finetune'; Help = 'Train a magnifier on scenes whose motion is known exactly' }
                @{ Name = 'gen-data'; Help = 'Write scenes whose motion is known exactly, to train on or to look at' }
                @{ Name = 'invert'; Help = 'Optimise noise until a network sees in it what the masks say, or a class' }
                @{ Name = 'stitch'; Help = 'String frames into a video, in the order of their numbers' }
                @{ Name = 'completion'; Help = 'Print the script with which a shell completes commands, options and values' }
                @{ Name = 'evaluate'; Help = 'Measure how well things work, where the truth is known' }
                @{ Name = 'plugins'; Help = 'List the plugins, what they provide and their state' }
            )
            Flags = @(
                @{ Name = '--version'; Help = 'Show the version' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @()
        }
        'magkit demo' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--output'; Help = 'The folder for the results' }
                @{ Name = '-o'; Help = 'The folder for the results' }
                @{ Name = '--magnifier'; Help = 'What magnifies' }
                @{ Name = '--weights'; Help = 'Other weights than those that ship' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--overwrite'; Help = 'Replace an output that exists' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--output', '-o', '--magnifier', '--weights', '--device', '--threads', '--config')
        }
        'magkit magnify' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--output'; Help = 'A video by its suffix, or a folder of PNG frames without one' }
                @{ Name = '-o'; Help = 'A video by its suffix, or a folder of PNG frames without one' }
                @{ Name = '--factor'; Help = 'How many times larger' }
                @{ Name = '-f'; Help = 'How many times larger' }
                @{ Name = '--mode'; Help = 'Motion since the first frame, or since the previous one' }
                @{ Name = '--band'; Help = 'Only motion of these frequencies, in Hz' }
                @{ Name = '--capture-fps'; Help = 'Frames a second at which the scene was filmed, if it plays slower or faster' }
                @{ Name = '--order'; Help = 'How steeply the band ends' }
                @{ Name = '--magnifier'; Help = 'What magnifies' }
                @{ Name = '--weights'; Help = 'Other weights than those that ship' }
                @{ Name = '--start'; Help = 'Begin at this time, in seconds' }
                @{ Name = '--end'; Help = 'End before this time, in seconds' }
                @{ Name = '--fps'; Help = 'Frames a second of an input that tells none or a wrong rate' }
                @{ Name = '--pattern'; Help = 'Of a folder, take only frames whose names match' }
                @{ Name = '--gaps'; Help = 'Numbers may be missing in a folder' }
                @{ Name = '--bits'; Help = 'How many of 16 bits pictures use, such as 12, where they don''t tell' }
                @{ Name = '--deinterlace'; Help = 'Make whole frames of interlaced ones' }
                @{ Name = '--audio'; Help = 'Which sound tracks are kept' }
                @{ Name = '--quality'; Help = 'The rate factor' }
                @{ Name = '--pix-fmt'; Help = 'The pixel format that is written, such as yuv444p or yuv420p10le' }
                @{ Name = '--opt'; Help = 'An option of what was chosen by name, listed below' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--overwrite'; Help = 'Replace an output that exists' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--output', '-o', '--factor', '-f', '--mode', '--band', '--capture-fps', '--order', '--magnifier', '--weights', '--start', '--end', '--fps', '--pattern', '--bits', '--audio', '--quality', '--pix-fmt', '--opt', '--device', '--threads', '--config')
        }
        'magkit pretrain' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--method'; Help = 'moco, byol, scrl, ..' }
                @{ Name = '--preset'; Help = 'small (the default) or paper' }
                @{ Name = '--magnifier'; Help = 'What magnifies' }
                @{ Name = '--magnifier-opt'; Help = 'An option of the magnifier, such as width=32' }
                @{ Name = '--backbone'; Help = 'resnet18, 34 or 50 in place of a magnifier' }
                @{ Name = '--branch'; Help = 'texture, motion or both' }
                @{ Name = '--data'; Help = 'Pictures, videos or a data set' }
                @{ Name = '--scenes'; Help = 'How many scenes are made where there are no data' }
                @{ Name = '--steps'; Help = 'Optimiser steps' }
                @{ Name = '--batch'; Help = 'Frames a step, of all processes together' }
                @{ Name = '--size'; Help = 'Side of a view in pixels' }
                @{ Name = '--lr'; Help = 'Learning rate for 256 frames' }
                @{ Name = '--train'; Help = 'Any other setting, such as warmup=200 or clip=0.5' }
                @{ Name = '--opt'; Help = 'An option of what was chosen by name, listed below' }
                @{ Name = '--output'; Help = 'The run''s folder' }
                @{ Name = '-o'; Help = 'The run''s folder' }
                @{ Name = '--new'; Help = 'Start a new run rather than go on with one that is there' }
                @{ Name = '--tensorboard'; Help = 'Show curves in TensorBoard too' }
                @{ Name = '--seed'; Help = 'Fixes every random draw' }
                @{ Name = '--devices'; Help = 'Processes, each with a device of its own' }
                @{ Name = '--workers'; Help = 'Processes that read frames' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--method', '--preset', '--magnifier', '--magnifier-opt', '--backbone', '--branch', '--data', '--scenes', '--steps', '--batch', '--size', '--lr', '--train', '--opt', '--output', '-o', '--seed', '--devices', '--workers', '--device', '--threads', '--config')
        }
        'magkit finetune' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--magnifier'; Help = 'What magnifies' }
                @{ Name = '--data'; Help = 'A data set to train on, in place of scenes made on the way' }
                @{ Name = '--images'; Help = 'Pictures for backgrounds' }
                @{ Name = '--objects'; Help = 'Objects' }
                @{ Name = '--object-images'; Help = 'The pictures of COCO''s objects, if not found beside the file' }
                @{ Name = '--procedural'; Help = 'Procedural textures and objects to mix in' }
                @{ Name = '--steps'; Help = 'Optimiser steps' }
                @{ Name = '--batch'; Help = 'Scenes a step' }
                @{ Name = '--size'; Help = 'Side of a scene in pixels' }
                @{ Name = '--lr'; Help = 'Learning rate' }
                @{ Name = '--train'; Help = 'Any other setting, such as warmup=200 or clip=0.5' }
                @{ Name = '--weights'; Help = 'Start from these weights' }
                @{ Name = '--encoder'; Help = 'Start from this encoder, as magkit pretrain made it' }
                @{ Name = '--freeze'; Help = 'Keep the encoder as it is for so many steps at the start' }
                @{ Name = '--encoder-lr'; Help = 'The encoder''s learning rate over that of the rest' }
                @{ Name = '--opt'; Help = 'An option of what was chosen by name, listed below' }
                @{ Name = '--half'; Help = 'Write the result in 16 bits' }
                @{ Name = '--output'; Help = 'The run''s folder' }
                @{ Name = '-o'; Help = 'The run''s folder' }
                @{ Name = '--new'; Help = 'Start a new run rather than go on with one that is there' }
                @{ Name = '--tensorboard'; Help = 'Show curves in TensorBoard too' }
                @{ Name = '--seed'; Help = 'Fixes every random draw' }
                @{ Name = '--workers'; Help = 'Processes that render scenes' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--magnifier', '--data', '--images', '--objects', '--object-images', '--procedural', '--steps', '--batch', '--size', '--lr', '--train', '--weights', '--encoder', '--freeze', '--encoder-lr', '--opt', '--output', '-o', '--seed', '--workers', '--device', '--threads', '--config')
        }
        'magkit gen-data' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--output'; Help = 'The folder to be made' }
                @{ Name = '-o'; Help = 'The folder to be made' }
                @{ Name = '--preset'; Help = '100,000 triplets as in the paper, 50,000 triplets (200,000 frames), or 20,000 single frames' }
                @{ Name = '--count'; Help = 'Number of scenes' }
                @{ Name = '--seed'; Help = 'Fixes every random draw' }
                @{ Name = '--images'; Help = 'Pictures for backgrounds' }
                @{ Name = '--objects'; Help = 'Objects' }
                @{ Name = '--object-images'; Help = 'The pictures of COCO''s objects, if not found beside the file' }
                @{ Name = '--procedural'; Help = 'Procedural textures and objects to mix in' }
                @{ Name = '--kind'; Help = 'Frames A, B, C and the magnified M (the default), or single frames' }
                @{ Name = '--format'; Help = 'Files, tar files, no pixels at all, or the layout of Oh et al' }
                @{ Name = '--size'; Help = 'Side of the frames in pixels' }
                @{ Name = '--scene'; Help = 'Another range of the scenes, such as factors=2,50 or objects=1,4' }
                @{ Name = '--threads'; Help = 'Processor cores, a process each' }
                @{ Name = '--shard'; Help = 'The I-th of N shares of the work, from 1' }
                @{ Name = '--dry-run'; Help = 'Write nothing' }
                @{ Name = '--overwrite'; Help = 'Replace an output that exists' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--output', '-o', '--preset', '--count', '--seed', '--images', '--objects', '--object-images', '--procedural', '--kind', '--format', '--size', '--scene', '--threads', '--shard', '--config')
        }
        'magkit invert' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--video'; Help = 'A video of DAVIS, or all' }
                @{ Name = '--masks'; Help = 'A folder of masks in place of DAVIS' }
                @{ Name = '--davis'; Help = 'DAVIS' }
                @{ Name = '--frames'; Help = 'all, first, 0-9 or 0,5' }
                @{ Name = '--class'; Help = 'What the objects are to be seen as' }
                @{ Name = '--classes'; Help = 'Pictures of a classifier''s classes, without masks' }
                @{ Name = '--per-class'; Help = 'Pictures of each of --classes' }
                @{ Name = '--target'; Help = 'What is inverted' }
                @{ Name = '--weights'; Help = 'Weights for each target, in their order' }
                @{ Name = '--opt'; Help = 'An option of what was chosen by name, listed below' }
                @{ Name = '--preset'; Help = 'fast, or thesis' }
                @{ Name = '--iterations'; Help = 'Steps of a picture that starts from noise' }
                @{ Name = '--lr'; Help = 'Learning rate' }
                @{ Name = '--var-l1'; Help = 'Weight of the total variation by absolute values' }
                @{ Name = '--var-l2'; Help = 'Weight of the total variation by Euclidean norms' }
                @{ Name = '--l2-norm'; Help = 'Weight of the picture''s norm' }
                @{ Name = '--bn'; Help = 'Weight of the distance from the layers'' statistics' }
                @{ Name = '--size'; Help = 'Height of the result in pixels' }
                @{ Name = '--set'; Help = 'Any other setting, such as keyframe=8' }
                @{ Name = '--tables'; Help = 'Settings of single videos and frames' }
                @{ Name = '--sweep'; Help = 'Every value in turn, a folder each' }
                @{ Name = '--verifier'; Help = 'Who looks at the result and took no part' }
                @{ Name = '--verifier-weights'; Help = 'Its weights' }
                @{ Name = '--verifier-opt'; Help = 'An option of it' }
                @{ Name = '--snapshots'; Help = 'Keep a picture every so many steps' }
                @{ Name = '--output'; Help = 'The run''s folder' }
                @{ Name = '-o'; Help = 'The run''s folder' }
                @{ Name = '--new'; Help = 'Start a new run rather than go on with one that is there' }
                @{ Name = '--shard'; Help = 'Only the I-th of N shares of the work, from 1' }
                @{ Name = '--seed'; Help = 'Fixes every random draw' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--video', '--masks', '--davis', '--frames', '--class', '--classes', '--per-class', '--target', '--weights', '--opt', '--preset', '--iterations', '--lr', '--var-l1', '--var-l2', '--l2-norm', '--bn', '--size', '--set', '--tables', '--sweep', '--verifier', '--verifier-weights', '--verifier-opt', '--snapshots', '--output', '-o', '--shard', '--seed', '--device', '--threads', '--config')
        }
        'magkit stitch' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--output'; Help = 'A video by its suffix, or a folder of PNG frames without one' }
                @{ Name = '-o'; Help = 'A video by its suffix, or a folder of PNG frames without one' }
                @{ Name = '--fps'; Help = 'Frames a second, such as 24 or 30000/1001' }
                @{ Name = '--beside'; Help = 'Set the pictures of the same names of this folder beside the frames' }
                @{ Name = '--panels'; Help = 'Show these folders beside DIR''s frames, from left to right' }
                @{ Name = '--gaps'; Help = 'String the frames that are there, though some are missing' }
                @{ Name = '--pattern'; Help = 'Take only pictures of DIR with names such as ''*.png'' or ''img_*'', in any case' }
                @{ Name = '--bits'; Help = 'How many of 16 bits the pictures use, such as 12' }
                @{ Name = '--quality'; Help = 'The rate factor' }
                @{ Name = '--overwrite'; Help = 'Replace an output that exists' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--output', '-o', '--fps', '--beside', '--panels', '--pattern', '--bits', '--quality', '--config')
        }
        'magkit completion' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--output'; Help = 'Where it goes' }
                @{ Name = '-o'; Help = 'Where it goes' }
                @{ Name = '--overwrite'; Help = 'Replace an output that exists' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--output', '-o', '--config')
        }
        'magkit evaluate' = @{
            Commands = @(
                @{ Name = 'magnifier'; Help = 'Magnify scenes whose magnified frame is known exactly, and compare' }
                @{ Name = 'clip'; Help = 'Magnify a real clip and measure the vibration in it, before and after' }
                @{ Name = 'encoder'; Help = 'Measure, without labels, what an encoder is worth for magnifying motion' }
                @{ Name = 'inversion'; Help = 'Judge the frames of an inversion, beside controls that need none' }
            )
            Flags = @(
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @()
        }
        'magkit evaluate magnifier' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--magnifier'; Help = 'What magnifies' }
                @{ Name = '--weights'; Help = 'Its weights' }
                @{ Name = '--opt'; Help = 'An option of what was chosen by name, listed below' }
                @{ Name = '--against'; Help = 'Another magnifier on the same scenes' }
                @{ Name = '--protocol'; Help = 'Which scenes' }
                @{ Name = '--images'; Help = 'Pictures for backgrounds' }
                @{ Name = '--objects'; Help = 'Objects' }
                @{ Name = '--object-images'; Help = 'The pictures of COCO''s objects, if not found beside the file' }
                @{ Name = '--procedural'; Help = 'Procedural textures and objects to mix in' }
                @{ Name = '--repeats'; Help = 'Scenes of each displacement, factor or level' }
                @{ Name = '--noise'; Help = 'Standard deviation of noise on the input' }
                @{ Name = '--output'; Help = 'Where the result goes' }
                @{ Name = '-o'; Help = 'Where the result goes' }
                @{ Name = '--plot'; Help = 'Draw gain and SSIM as curves, all in one' }
                @{ Name = '--overwrite'; Help = 'Replace an output that exists' }
                @{ Name = '--seed'; Help = 'Fixes every random draw' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--magnifier', '--weights', '--opt', '--against', '--protocol', '--images', '--objects', '--object-images', '--procedural', '--repeats', '--noise', '--output', '-o', '--plot', '--seed', '--device', '--threads', '--config')
        }
        'magkit evaluate clip' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--factor'; Help = 'How many times larger' }
                @{ Name = '-f'; Help = 'How many times larger' }
                @{ Name = '--band'; Help = 'Only motion of these frequencies, in Hz' }
                @{ Name = '--capture-fps'; Help = 'Frames a second at which the scene was filmed' }
                @{ Name = '--at'; Help = 'Where to measure, in pixels' }
                @{ Name = '--magnifier'; Help = 'What magnifies' }
                @{ Name = '--weights'; Help = 'Other weights than those that ship' }
                @{ Name = '--opt'; Help = 'An option of what was chosen by name, listed below' }
                @{ Name = '--output'; Help = 'Where the result goes' }
                @{ Name = '-o'; Help = 'Where the result goes' }
                @{ Name = '--overwrite'; Help = 'Replace an output that exists' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--factor', '-f', '--band', '--capture-fps', '--at', '--magnifier', '--weights', '--opt', '--output', '-o', '--device', '--threads', '--config')
        }
        'magkit evaluate encoder' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--magnifier'; Help = 'Whose encoder it must be' }
                @{ Name = '--data'; Help = 'Judge on the frames of a data set' }
                @{ Name = '--images'; Help = 'Pictures for backgrounds' }
                @{ Name = '--objects'; Help = 'Objects' }
                @{ Name = '--object-images'; Help = 'The pictures of COCO''s objects, if not found beside the file' }
                @{ Name = '--procedural'; Help = 'Procedural textures and objects to mix in' }
                @{ Name = '--frames'; Help = 'Frames to judge on' }
                @{ Name = '--output'; Help = 'Where the result goes' }
                @{ Name = '-o'; Help = 'Where the result goes' }
                @{ Name = '--overwrite'; Help = 'Replace an output that exists' }
                @{ Name = '--seed'; Help = 'Fixes every random draw' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--magnifier', '--data', '--images', '--objects', '--object-images', '--procedural', '--frames', '--output', '-o', '--seed', '--device', '--threads', '--config')
        }
        'magkit evaluate inversion' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--verifier'; Help = 'Who looks at the frames and took no part' }
                @{ Name = '--verifier-weights'; Help = 'Its weights' }
                @{ Name = '--verifier-opt'; Help = 'An option of it' }
                @{ Name = '--weights'; Help = 'The targets'' weights, if they don''t ship' }
                @{ Name = '--davis'; Help = 'DAVIS' }
                @{ Name = '--device'; Help = 'auto, cpu, cuda, cuda:N or mps' }
                @{ Name = '--threads'; Help = 'Processor threads' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--verifier', '--verifier-weights', '--verifier-opt', '--weights', '--davis', '--device', '--threads', '--config')
        }
        'magkit plugins' = @{
            Commands = @(
                @{ Name = 'new'; Help = 'Write a package that provides a method, a target or a magnifier, ready to be changed' }
            )
            Flags = @(
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--config')
        }
        'magkit plugins new' = @{
            Commands = @(
            )
            Flags = @(
                @{ Name = '--kind'; Help = 'What it provides' }
                @{ Name = '--output'; Help = 'The package''s folder' }
                @{ Name = '-o'; Help = 'The package''s folder' }
                @{ Name = '--config'; Help = 'Options from a file' }
                @{ Name = '--quiet'; Help = 'Say only what went wrong' }
                @{ Name = '-q'; Help = 'Say only what went wrong' }
                @{ Name = '--verbose'; Help = 'Say more' }
                @{ Name = '-v'; Help = 'Say more' }
                @{ Name = '--json'; Help = 'One JSON object on standard output' }
                @{ Name = '--help'; Help = 'Show this message and exit' }
            )
            Takes = @('--kind', '--output', '-o', '--config')
        }
    }
    # What may follow a flag, or stand in a place: words, and what magkit is asked for the others.
    $values = @{
        'magkit demo --magnifier' = @{ Words = @(); Ask = @('magnifiers') }
        'magkit demo --weights' = @{ Words = @(); Ask = @('weights') }
        'magkit demo --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit magnify --mode' = @{ Words = @('static', 'dynamic'); Ask = @() }
        'magkit magnify --magnifier' = @{ Words = @(); Ask = @('magnifiers') }
        'magkit magnify --weights' = @{ Words = @(); Ask = @('weights') }
        'magkit magnify --audio' = @{ Words = @('none', 'first', 'all'); Ask = @() }
        'magkit magnify --opt' = @{ Words = @(); Ask = @('options', 'magnifier', '--magnifier', 'magnet-fast') }
        'magkit magnify --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit pretrain --method' = @{ Words = @(); Ask = @('methods') }
        'magkit pretrain --preset' = @{ Words = @(); Ask = @('presets', '--method') }
        'magkit pretrain --magnifier' = @{ Words = @(); Ask = @('magnifiers') }
        'magkit pretrain --magnifier-opt' = @{ Words = @(); Ask = @('options', 'magnifier', '--magnifier', 'magnet-fast') }
        'magkit pretrain --backbone' = @{ Words = @('resnet18', 'resnet34', 'resnet50'); Ask = @() }
        'magkit pretrain --branch' = @{ Words = @('both', 'motion', 'texture'); Ask = @() }
        'magkit pretrain --train' = @{ Words = @(); Ask = @('settings', 'pretrain') }
        'magkit pretrain --opt' = @{ Words = @(); Ask = @('options', 'method', '--method') }
        'magkit pretrain --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit finetune --magnifier' = @{ Words = @(); Ask = @('magnifiers') }
        'magkit finetune --train' = @{ Words = @(); Ask = @('settings', 'finetune') }
        'magkit finetune --encoder' = @{ Words = @(); Ask = @('runs', 'pretrain') }
        'magkit finetune --opt' = @{ Words = @(); Ask = @('options', 'magnifier', '--magnifier', 'magnet-fast') }
        'magkit finetune --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit gen-data --preset' = @{ Words = @('paper', 'seed-triplets', 'seed-frames'); Ask = @() }
        'magkit gen-data --kind' = @{ Words = @('triplets', 'frames'); Ask = @() }
        'magkit gen-data --format' = @{ Words = @('folder', 'tar', 'recipe', 'published'); Ask = @() }
        'magkit invert --video' = @{ Words = @('all'); Ask = @('videos') }
        'magkit invert --frames' = @{ Words = @('all', 'first'); Ask = @() }
        'magkit invert --class' = @{ Words = @('any', 'bear', 'bird', 'dog', 'horse', 'car', 'cow', 'bicycle'); Ask = @() }
        'magkit invert --classes' = @{ Words = @('all'); Ask = @() }
        'magkit invert --target' = @{ Words = @(); Ask = @('targets') }
        'magkit invert --opt' = @{ Words = @(); Ask = @('options', 'target', '--target', 'maskrcnn-small') }
        'magkit invert --preset' = @{ Words = @('fast', 'classes', 'thesis'); Ask = @() }
        'magkit invert --set' = @{ Words = @(); Ask = @('settings', 'invert') }
        'magkit invert --sweep' = @{ Words = @(); Ask = @('settings', 'invert') }
        'magkit invert --verifier' = @{ Words = @('none'); Ask = @('targets') }
        'magkit invert --verifier-opt' = @{ Words = @(); Ask = @('options', 'target', '--verifier', 'segmenter') }
        'magkit invert --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit completion 1' = @{ Words = @('bash', 'zsh', 'fish', 'powershell'); Ask = @() }
        'magkit evaluate magnifier --magnifier' = @{ Words = @(); Ask = @('magnifiers') }
        'magkit evaluate magnifier --weights' = @{ Words = @(); Ask = @('weights') }
        'magkit evaluate magnifier --opt' = @{ Words = @(); Ask = @('options', 'magnifier', '--magnifier', 'magnet-fast') }
        'magkit evaluate magnifier --against' = @{ Words = @(); Ask = @('magnifiers') }
        'magkit evaluate magnifier --protocol' = @{ Words = @('gain', 'subpixel', 'noise', 'sinusoid'); Ask = @() }
        'magkit evaluate magnifier --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit evaluate clip --magnifier' = @{ Words = @(); Ask = @('magnifiers') }
        'magkit evaluate clip --weights' = @{ Words = @(); Ask = @('weights') }
        'magkit evaluate clip --opt' = @{ Words = @(); Ask = @('options', 'magnifier', '--magnifier', 'magnet-fast') }
        'magkit evaluate clip --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit evaluate encoder --magnifier' = @{ Words = @(); Ask = @('magnifiers') }
        'magkit evaluate encoder --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit evaluate encoder 1' = @{ Words = @(); Ask = @('runs', 'pretrain') }
        'magkit evaluate inversion --verifier' = @{ Words = @('none'); Ask = @('targets') }
        'magkit evaluate inversion --verifier-opt' = @{ Words = @(); Ask = @('options', 'target', '--verifier', 'segmenter') }
        'magkit evaluate inversion --device' = @{ Words = @('auto', 'cpu', 'cuda', 'mps'); Ask = @() }
        'magkit evaluate inversion 1' = @{ Words = @(); Ask = @('runs', 'invert') }
        'magkit plugins new --kind' = @{ Words = @('method', 'target', 'magnifier'); Ask = @() }
    }

    $words = @($commandAst.CommandElements | Where-Object {
        $_.Extent.StartOffset -lt $cursorPosition
    } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
        else { $_.Extent.Text }
    })
    # Behind a space a new word begins, which is no element yet.
    if ($wordToComplete -eq '') { $words += '' }

    $node = 'magkit'
    $option = ''
    $place = 1
    for ($i = 1; $i -lt $words.Count - 1; $i++) {
        $word = $words[$i]
        if ($option -ne '') { $option = '' }
        elseif ($nodes[$node].Takes -ccontains $word) { $option = $word }
        elseif ($nodes[$node].Commands.Name -ccontains $word) { $node = "$node $word" }
        elseif (-not $word.StartsWith('-')) { $place++ }
    }

    $word = $words[-1]
    $lead = ''
    if ($option -eq '' -and $word -match '^(--[^=]+)=(.*)$') {
        $option = $Matches[1]
        $lead = "$option="
        $word = $Matches[2]
    }
    $found = @()
    if ($option -eq '' -and $word.StartsWith('-')) {
        $found = $nodes[$node].Flags
    } elseif ($option -eq '' -and $nodes[$node].Commands) {
        if ($place -eq 1) { $found = $nodes[$node].Commands }
    } else {
        $key = if ($option -ne '') { "$node $option" } else { "$node $place" }
        if (-not $values.ContainsKey($key)) { $key = "$node *" }
        if ($values.ContainsKey($key)) {
            $found = @($values[$key].Words | Where-Object { $_ } | ForEach-Object {
                @{ Name = $_; Help = $_ }
            })
            if ($values[$key].Ask) {
                $found += @(& $words[0] _values @($values[$key].Ask) '--' @words 2>$null |
                    ForEach-Object {
                        $name, $help = $_ -split "`t", 2
                        @{ Name = $name; Help = if ($help) { $help } else { $name } }
                    })
            }
        }
    }

    # With nothing here, PowerShell offers files and folders.
    $found | Where-Object { $_.Name -and $_.Name.StartsWith($word) } | ForEach-Object {
        $text = "$lead$($_.Name)"
        if ($text -notmatch '^[A-Za-z0-9_./=:-]+$') {
            $code = [System.Management.Automation.Language.CodeGeneration]
            $text = "'" + $code::EscapeSingleQuotedStringContent($text) + "'"
        }
        [System.Management.Automation.CompletionResult]::new(
            $text, $_.Name, 'ParameterValue', $_.Help)
    }
}
